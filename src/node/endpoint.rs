//! A node on the network: what it says of itself, where it listens, and how it reaches others.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::{NodeFailure, NodeSettings};
use crate::actor::{self, Task};
use crate::id::NodeAddress;
use crate::net::mapper::{self, Lease};
use crate::net::{
    self, Cookie, Digest, Expect, Identity, Line, Listener, Mode, Purpose, Reason, Reception, Refusal, Session,
    Stranger, Tls, Transport,
};
use crate::telemetry::events;

/// Decides whether a peer that has proved to know the cookie may come in. It must not wait.
pub type Admit = Arc<dyn Fn(&Identity, &Purpose) -> Result<(), Refusal> + Send + Sync>;

/// A node on the network.
pub struct Endpoint {
    identity: Mutex<Identity>,
    cookie: Cookie,
    /// To nodes: with TLS, if there is any.
    transport: Arc<dyn Transport>,
    /// To port mappers, which tell nothing but port numbers and are believed nothing.
    plain: Arc<dyn Transport>,
    mapper_port: u16,
}

/// What has to be run for a node to be reachable.
pub struct Presence {
    pub listener: Box<dyn Listener>,
    pub lease: Lease,
}

impl Endpoint {
    /// Opens a port and makes it known on this host.
    ///
    /// # Errors
    /// When the address cannot be listened at, or another node has the name.
    pub async fn open(settings: &NodeSettings, mode: Mode) -> Result<(Arc<Endpoint>, Presence), NodeFailure> {
        let start = |what: String| NodeFailure::Start(what);
        let NodeSettings { name, transport: plain, mapper_port, listen, .. } = settings;
        let transport: Arc<dyn Transport> = match &settings.credentials {
            Some(credentials) => Arc::new(Tls::new(Arc::clone(plain), credentials.clone())),
            None => Arc::clone(plain),
        };
        let listener = transport.listen(*listen).await;
        let listener = listener.map_err(|error| start(format!("cannot listen at {listen}: {error}")))?;
        let port = listener.local_address().map(|address| address.port());
        let port = port.map_err(|error| start(format!("cannot listen at {listen}: {error}")))?;
        let lease = mapper::join(Arc::clone(plain), *mapper_port, name.name(), port).await;
        let lease = lease.map_err(|Refusal { reason, detail }| {
            let what =
                format!("cannot be known as `{name}` at the port mapper, port {mapper_port}: {reason}: {detail}");
            if reason == Reason::NameTaken { NodeFailure::NameTaken(what) } else { start(what) }
        })?;
        let identity = Identity {
            name: name.clone(),
            mode,
            incarnation: incarnation(transport.as_ref()),
            port,
            skitter: events::VERSION.to_owned(),
            build: settings.build,
            tags: settings.tags.clone(),
            cores: settings.runtime.cores as u32,
            memory: memory(),
        };
        let (cookie, plain, mapper_port) = (settings.cookie.clone(), Arc::clone(plain), *mapper_port);
        let endpoint = Endpoint { identity: Mutex::new(identity), cookie, transport, plain, mapper_port };
        Ok((Arc::new(endpoint), Presence { listener, lease }))
    }

    /// What it says of itself.
    pub fn identity(&self) -> Identity {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins a new life: others may have gone on without it, and do not take it for the old one.
    pub fn renew(&self) {
        let mut identity = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        identity.incarnation = incarnation(self.transport.as_ref()).max(identity.incarnation + 1);
    }

    /// Connects to a node, by way of its host's port mapper if its port is not known.
    ///
    /// # Errors
    /// When nothing answers, something else than the node does, or it refuses.
    pub async fn dial(&self, address: &NodeAddress, purpose: Purpose, mode: Mode) -> Result<Session, Refusal> {
        let (transport, plain) = (self.transport.as_ref(), self.plain.as_ref());
        let port = match address.port {
            Some(port) => port,
            None => mapper::lookup(plain, &address.host, self.mapper_port, &address.name).await?,
        };
        let expect: Expect = mode.named(&address.name);
        net::dial(transport, (&address.host, port), &self.cookie, &self.identity(), purpose, expect).await
    }

    /// Takes connections in, and gives on those that are admitted, until it is closed.
    pub fn serve(self: &Arc<Self>, listener: Box<dyn Listener>, admit: Admit, sessions: mpsc::Sender<Session>) -> Open {
        let own = Arc::clone(self);
        let admit = move |peer: &Identity, purpose: &Purpose| admit(peer, purpose);
        let mut reception = Reception::new(listener, self.cookie.clone(), move || own.identity(), admit);
        let (close, closed) = oneshot::channel();
        let serving = actor::task(async move {
            tokio::select! {
                biased;
                _ = closed => {}
                () = receive(&mut reception, &sessions) => return,
            }
            while let Some(session) = reception.last().await
                && sessions.send(session).await.is_ok()
            {}
        });
        Open { close, serving }
    }
}

/// A node that takes connections in; it stops at once when this is dropped.
pub struct Open {
    close: oneshot::Sender<()>,
    serving: Task,
}

impl Open {
    /// Lets nobody in any more. Who has been admitted by then, and counts on this node, has been given on when this
    /// returns.
    pub async fn close(self) {
        // It has ended where nobody takes sessions.
        let _ = self.close.send(());
        self.serving.ended().await;
    }
}

/// Gives on who comes, and says who was refused.
async fn receive(reception: &mut Reception, sessions: &mpsc::Sender<Session>) {
    let (opened, mut digest) = (Instant::now(), Digest::default());
    loop {
        let due = digest.due().map(|due| opened + due);
        tokio::select! {
            biased;
            () = sleep_until(due.unwrap_or(opened)), if due.is_some() => {
                digest.take(opened.elapsed()).into_iter().for_each(say);
            }
            next = reception.next() => match next {
                Ok(session) => {
                    if sessions.send(session).await.is_err() {
                        return;
                    }
                }
                Err(stranger) => digest.add(stranger, opened.elapsed()).into_iter().for_each(say),
            },
        }
    }
}

/// Says who was not let in.
fn say(Line { stranger, more }: Line) {
    let Stranger { address, refusal: Refusal { reason, detail } } = stranger;
    events::connections_refused(&address, reason.as_str(), &detail, more);
}

/// A number that is higher in each life of a node: the microseconds since 1970.
fn incarnation(host: &dyn Transport) -> u64 {
    host.time_of_day().as_micros() as u64
}

/// The memory of this machine, in bytes.
fn memory() -> u64 {
    let info = rustix::system::sysinfo();
    (info.totalram as u64).saturating_mul(u64::from(info.mem_unit))
}
