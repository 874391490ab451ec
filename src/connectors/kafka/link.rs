//! A connection to the brokers of a topic that is made anew when it is lost.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rskafka::BackoffConfig;
use rskafka::client::partition::{PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder, Credentials, SaslConfig};

use super::trouble::Trouble;
use crate::connectors::driver::Driver;
use crate::connectors::retry::{ANSWER_TIMEOUT, Attempt, Attempts, CONNECT_TIMEOUT, FIRST_PATIENCE, Failure, wait};
use crate::connectors::server::{Resolved, ServerUrl};
use crate::connectors::tls;
use crate::workflow::Result;

/// The port of a broker for which the URL names none.
const PORT: u16 = 9092;

/// How long the leader of a partition may take to be connected to: less than a reader waits in all, so that what other
/// brokers have is read when one does not answer.
const LEADER_TIMEOUT: Duration = Duration::from_secs(1);

/// How the user in the URL proves who it is: the mechanism of SASL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KafkaLogin {
    /// The password as it is; only over TLS is it hidden from who listens.
    #[default]
    Plain,
    /// A proof that the password is known, by SCRAM with SHA-256.
    ScramSha256,
    /// The same with SHA-512.
    ScramSha512,
}

/// A topic, and where its brokers are.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub url: ServerUrl,
    pub login: KafkaLogin,
    pub topic: String,
}

/// A connection to the brokers of a topic.
pub(super) struct Link {
    server: Server,
    attempts: Attempts,
    /// Whether it is an error at once that there is no such topic.
    strict: bool,
    session: Option<(Topic, Driver)>,
}

/// A topic that is connected to.
pub(super) struct Topic {
    client: Client,
    name: String,
    partitions: BTreeMap<i32, PartitionClient>,
    /// Its partitions in order, and when it was asked for them.
    pub known: (Vec<i32>, Instant),
}

impl Link {
    /// One that is made when it is needed.
    pub fn new(server: &Server, patience: Duration) -> Self {
        let attempts = Attempts::new("Kafka", &server.url, patience);
        Link { server: server.clone(), attempts, strict: false, session: None }
    }

    /// Sees whether the brokers can be reached, and have the topic.
    ///
    /// # Errors
    /// When they cannot, for as long as is waited for them at the start, refuse the login, or have no such topic.
    pub fn check(server: &Server) -> Result<()> {
        let mut link = Link { strict: true, ..Link::new(server, FIRST_PATIENCE) };
        link.call(&format!("find topic `{}`", server.topic), async |_| Ok(()))
    }

    /// Does something once, within some time; `what` names it for messages.
    ///
    /// # Errors
    /// When it is refused, or the brokers have been away for too long.
    pub fn attempt<R>(
        &mut self,
        what: &str,
        within: Duration,
        call: impl AsyncFnOnce(&mut Topic) -> Result<R, Trouble>,
    ) -> Result<Attempt<R>> {
        let resolved = self.server.url.resolve()?;
        let strict = self.strict;
        let failure = |trouble| match trouble {
            Trouble::Refused(why) => Failure::Refused(resolved.scrub(why)),
            Trouble::Unknown(why) if strict => Failure::Refused(resolved.scrub(why)),
            Trouble::Unknown(why) | Trouble::Away(why) => Failure::Away(resolved.scrub(why)),
            Trouble::OutOfRange => Failure::Away("messages were deleted meanwhile".to_owned()),
        };
        let late = |time: Duration| Failure::Away(format!("no answer within {} s", time.as_secs()));
        let session = match &mut self.session {
            Some(session) => Ok(session),
            none => Driver::new().map_err(Failure::Other).and_then(|driver| {
                let builder = builder(&self.server, &resolved)?;
                let connected = driver.run(CONNECT_TIMEOUT, Topic::connect(builder, &self.server.topic));
                let topic = connected.ok_or_else(|| late(CONNECT_TIMEOUT))?.map_err(failure)?;
                Ok(none.insert((topic, driver)))
            }),
        };
        let result = session
            .and_then(|(topic, driver)| driver.run(within, call(topic)).ok_or_else(|| late(within))?.map_err(failure));
        if result.is_err() {
            self.session = None;
        }
        self.attempts.judge(what, result)
    }

    /// Does something, again and again while the brokers are away: it may be done more than once.
    ///
    /// # Errors
    /// As [`attempt`](Link::attempt).
    pub fn call<R>(&mut self, what: &str, mut call: impl AsyncFnMut(&mut Topic) -> Result<R, Trouble>) -> Result<R> {
        loop {
            match self.attempt(what, ANSWER_TIMEOUT, &mut call)? {
                Attempt::Done(result) => return Ok(result),
                Attempt::Away(time) => wait(time),
            }
        }
    }
}

impl Topic {
    async fn connect(builder: ClientBuilder, topic: &str) -> Result<Self, Trouble> {
        let client = builder.build().await?;
        let known = (Vec::new(), Instant::now());
        let mut topic = Topic { client, name: topic.to_owned(), partitions: BTreeMap::new(), known };
        topic.look().await?;
        Ok(topic)
    }

    /// Finds out which partitions there are.
    pub async fn look(&mut self) -> Result<(), Trouble> {
        let topics = self.client.list_topics().await?;
        let found =
            topics.into_iter().find(|topic| topic.name == self.name).filter(|topic| !topic.partitions.is_empty());
        let topic = found.ok_or_else(|| {
            let name = &self.name;
            Trouble::Unknown(format!("there is no topic `{name}` that this user may see; create it, or check its ACL"))
        })?;
        self.known = (topic.partitions.into_iter().collect(), Instant::now());
        Ok(())
    }

    /// Connects to the leaders of these partitions. Those that are there are connected to although others are not.
    pub async fn leaders(&mut self, partitions: impl Iterator<Item = i32>) -> Result<(), Trouble> {
        let (client, name) = (&self.client, self.name.as_str());
        let absent = partitions.filter(|partition| !self.partitions.contains_key(partition));
        let connected = join_all(absent.map(async |partition| {
            let connecting = client.partition_client(name, partition, UnknownTopicHandling::Error);
            tokio::time::timeout(LEADER_TIMEOUT, connecting)
                .await
                .map_err(|_| {
                    let time = LEADER_TIMEOUT.as_secs();
                    Trouble::Away(format!("the leader of partition {partition} does not answer within {time} s"))
                })?
                .map_err(Trouble::from)
        }));
        let mut trouble = None;
        for leader in connected.await {
            match leader {
                Ok(leader) => drop(self.partitions.insert(leader.partition(), leader)),
                Err(other) => trouble = trouble.or(Some(other)),
            }
        }
        trouble.map_or(Ok(()), Err)
    }

    /// The leader of a partition that has been connected to.
    pub fn leader(&self, partition: i32) -> Result<&PartitionClient, Trouble> {
        let lost = || Trouble::Away(format!("partition {partition} is not connected to"));
        self.partitions.get(&partition).ok_or_else(lost)
    }
}

/// How the brokers are connected to.
fn builder(server: &Server, resolved: &Resolved) -> Result<ClientBuilder, Failure> {
    let parts = resolved.parts();
    // Whoever calls tries again, as it does with all servers.
    let once = BackoffConfig { deadline: Some(Duration::ZERO), ..BackoffConfig::default() };
    let mut builder = ClientBuilder::new(brokers(&parts.rest)).client_id("skitter").backoff_config(once);
    if parts.scheme == "kafkas" {
        builder = builder.tls_config(tls::client_config().map_err(Failure::Other)?);
    }
    if let Some(user) = parts.user {
        let credentials = Credentials::new(user, parts.password.unwrap_or_default());
        builder = builder.sasl_config(match server.login {
            KafkaLogin::Plain => SaslConfig::Plain(credentials),
            KafkaLogin::ScramSha256 => SaslConfig::ScramSha256(credentials),
            KafkaLogin::ScramSha512 => SaslConfig::ScramSha512(credentials),
        });
    }
    Ok(builder)
}

/// The brokers that a URL names: one, or several with commas between them.
fn brokers(rest: &str) -> Vec<String> {
    let hosts = rest.split('/').next().unwrap_or_default();
    let with_port = |host: &str| match host.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok() => host.to_owned(),
        _ => format!("{host}:{PORT}"),
    };
    hosts.split(',').filter(|host| !host.is_empty()).map(with_port).collect()
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("attempts", &self.attempts).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_brokers() {
        for (rest, expected) in [
            ("x", vec!["x:9092"]),
            ("x:1/y", vec!["x:1"]),
            ("x:1,y,z:3", vec!["x:1", "y:9092", "z:3"]),
            ("[::1]", vec!["[::1]:9092"]),
            ("[::1]:5", vec!["[::1]:5"]),
        ] {
            assert_eq!(brokers(rest), expected);
        }
    }
}
