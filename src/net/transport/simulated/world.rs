//! The state of a simulated network.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::link::{Link, Look, Silence};
use super::refused;
use super::stream::{Ends, SimulatedStream};

/// Which host.
pub(super) type HostId = u16;
/// Which direction of which connection.
pub(super) type LinkId = u64;
/// Where connections to a port go.
pub(super) type Connections = mpsc::Sender<(Box<SimulatedStream>, SocketAddr)>;

/// The first port that is given to who wants any.
const FIRST_PORT: u16 = 40_000;

/// What the clocks of the hosts say when the world begins: the time since 1970, many years of it.
const FIRST_TIME: Duration = Duration::from_secs(1_000_000_000);

/// What moves the time.
pub(super) enum Clock {
    /// Tokio does; the world began then.
    Tokio(Instant),
    /// Somebody steps on; so far it has come.
    Stepped(Duration),
}

/// The hosts, what is under way between them, and what is broken.
pub(super) struct World {
    dice: u64,
    clock: Clock,
    /// Pieces written, and connections made and lost, ever.
    pub moves: u64,
    pub latency: RangeInclusive<Duration>,
    hosts: BTreeMap<String, HostId>,
    /// The ports of hosts; who listens at them, and whether it does so for its own host only.
    listeners: BTreeMap<(HostId, u16), (Connections, bool)>,
    links: BTreeMap<LinkId, Link>,
    last_link: LinkId,
    last_port: u16,
    pub walls: BTreeMap<(HostId, HostId), Silence>,
    pub isolated: BTreeSet<HostId>,
    /// Hosts without power.
    pub off: BTreeSet<HostId>,
    /// Told when something gets through that did not.
    pub changed: Arc<Notify>,
}

impl World {
    pub fn new(seed: u64, clock: Clock) -> World {
        World {
            dice: seed,
            clock,
            moves: 0,
            latency: Duration::from_micros(100)..=Duration::from_millis(2),
            hosts: BTreeMap::new(),
            listeners: BTreeMap::new(),
            links: BTreeMap::new(),
            last_link: 0,
            last_port: FIRST_PORT,
            walls: BTreeMap::new(),
            isolated: BTreeSet::new(),
            off: BTreeSet::new(),
            changed: Arc::default(),
        }
    }

    /// The time since it began.
    fn now(&self) -> Duration {
        match self.clock {
            Clock::Tokio(began) => began.elapsed(),
            Clock::Stepped(now) => now,
        }
    }

    /// What the clocks of the hosts say.
    pub fn time_of_day(&self) -> Duration {
        FIRST_TIME + self.now()
    }

    /// When who waits until then has to look again; none if it is woken.
    pub fn waits_until(&self, then: Duration) -> Option<Instant> {
        match self.clock {
            Clock::Tokio(began) => Some(began + then),
            Clock::Stepped(_) => None,
        }
    }

    /// Moves the time on. Gives who has to look.
    pub fn step(&mut self, by: Duration) -> Vec<Waker> {
        if let Clock::Stepped(now) = &mut self.clock {
            *now += by;
        }
        let now = self.now();
        let due = |(id, link): (&LinkId, &Link)| link.is_due(now).then_some(*id);
        let due: Vec<LinkId> = self.links.iter().filter_map(due).collect();
        let mut wakers = Vec::new();
        for id in due {
            wakers.extend(self.links.get_mut(&id).into_iter().flat_map(Link::wakers));
        }
        wakers
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.hosts.keys().map(String::as_str)
    }

    /// The host of this name, which is made if there is none.
    pub fn host(&mut self, name: &str) -> HostId {
        let next = HostId::try_from(self.hosts.len()).unwrap_or(HostId::MAX);
        *self.hosts.entry(name.to_owned()).or_insert(next)
    }

    /// The address of a host.
    pub fn address(id: HostId) -> Ipv4Addr {
        // From 10.0.0.1 on.
        Ipv4Addr::from_bits(0x0a00_0001 + u32::from(id))
    }

    /// Two hosts, in order.
    pub fn pair(&mut self, a: &str, b: &str) -> (HostId, HostId) {
        let (a, b) = (self.host(a), self.host(b));
        (a.min(b), a.max(b))
    }

    /// SplitMix64, by Sebastiano Vigna.
    fn roll(&mut self) -> u64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.dice;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }

    fn latency_between(&mut self, a: HostId, b: HostId) -> Duration {
        if a == b {
            return Duration::ZERO;
        }
        let (least, most) = (*self.latency.start(), *self.latency.end());
        let span = u64::try_from(most.saturating_sub(least).as_micros()).unwrap_or(u64::MAX);
        least + Duration::from_micros(self.roll() % span.saturating_add(1))
    }

    /// Whether nothing gets from one host to the other.
    pub fn is_silent(&self, a: HostId, b: HostId) -> bool {
        let gone = |id: &HostId| self.off.contains(id) || (a != b && self.isolated.contains(id));
        gone(&a) || gone(&b) || self.walls.contains_key(&(a.min(b), a.max(b)))
    }

    /// Finds a host, and how far it is; none if it does not answer.
    pub fn route(&mut self, from: HostId, name: &str) -> io::Result<Option<(HostId, Duration)>> {
        let by_address = |ip: IpAddr| match ip.to_canonical() {
            ip if ip.is_loopback() => Some(from),
            ip => self.hosts.values().copied().find(|id| ip == Self::address(*id)),
        };
        let found = match name.parse() {
            Ok(ip) => by_address(ip),
            Err(_) if name == "localhost" => Some(from),
            Err(_) => self.hosts.get(name).copied(),
        };
        let to = found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no host is named `{name}`")))?;
        self.has_power(from)?;
        Ok((!self.is_silent(from, to)).then(|| (to, self.latency_between(from, to))))
    }

    fn has_power(&self, host: HostId) -> io::Result<()> {
        let without = || io::Error::new(io::ErrorKind::NetworkDown, "the host has no power");
        if self.off.contains(&host) { Err(without()) } else { Ok(()) }
    }

    pub fn listen(&mut self, host: HostId, address: SocketAddr, connections: Connections) -> io::Result<SocketAddr> {
        self.has_power(host)?;
        let ip = address.ip();
        if !ip.is_unspecified() && !ip.is_loopback() && ip != Self::address(host) {
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "this host has another address"));
        }
        let mut port = address.port();
        if port == 0 {
            self.last_port = self.last_port.checked_add(1).unwrap_or(FIRST_PORT);
            port = self.last_port;
        }
        if self.listeners.contains_key(&(host, port)) {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "somebody listens there"));
        }
        self.listeners.insert((host, port), (connections, ip.is_loopback()));
        Ok(SocketAddr::new(ip, port))
    }

    /// Closes a port, unless somebody else has it by now.
    pub fn close(&mut self, host: HostId, port: u16) {
        if self.listeners.get(&(host, port)).is_some_and(|(connections, _)| connections.is_closed()) {
            self.listeners.remove(&(host, port));
        }
    }

    /// Who listens there.
    pub fn listener(&self, from: HostId, to: HostId, port: u16) -> io::Result<Connections> {
        match self.listeners.get(&(to, port)) {
            Some((connections, own)) if !own || from == to => Ok(connections.clone()),
            _ => Err(refused()),
        }
    }

    /// Makes a connection; gives the ends of who connects, and of the other.
    pub fn connect(&mut self, from: HostId, to: HostId, port: u16) -> (Ends, Ends) {
        self.moves += 1;
        let (there, back) = (self.last_link + 1, self.last_link + 2);
        self.last_link = back;
        self.links.insert(there, Link::new(from, to));
        self.links.insert(back, Link::new(to, from));
        let ip = |id| IpAddr::V4(if from == to { Ipv4Addr::LOCALHOST } else { World::address(id) });
        self.last_port = self.last_port.checked_add(1).unwrap_or(FIRST_PORT);
        let (peer_of_from, peer_of_to) = ((ip(to), port).into(), (ip(from), self.last_port).into());
        (Ends { read: back, write: there, peer: peer_of_from }, Ends { read: there, write: back, peer: peer_of_to })
    }

    pub fn reset_between(&mut self, (a, b): (HostId, HostId)) {
        let between = |link: &&mut Link| (link.from.min(link.to), link.from.max(link.to)) == (a, b);
        self.links.values_mut().filter(between).for_each(|link| link.reset = true);
    }

    /// The processes of a host are gone; their peers hear of it when they can.
    pub fn kill(&mut self, host: HostId) {
        self.listeners.retain(|(id, _), _| *id != host);
        self.links.values_mut().filter(|link| link.from == host || link.to == host).for_each(|link| link.doomed = true);
    }

    /// The host has no power any more.
    pub fn kill_silently(&mut self, host: HostId) {
        self.kill(host);
        self.off.insert(host);
    }

    /// After a change: resets what is doomed and reachable, and lets everybody look again. What was held back
    /// arrives.
    pub fn settle(&mut self) -> Vec<Waker> {
        self.moves += 1;
        let mut wakers = Vec::new();
        let ids: Vec<LinkId> = self.links.keys().copied().collect();
        let doomed: Vec<LinkId> = ids.iter().copied().filter(|id| self.links[id].doomed).collect();
        for id in doomed {
            // The other direction of the same connection.
            let other = if id % 2 == 1 { id + 1 } else { id - 1 };
            if let Some(link) = self.links.get_mut(&other) {
                link.doomed = true;
            }
        }
        for id in ids {
            let silent = self.links.get(&id).is_some_and(|link| self.is_silent(link.from, link.to));
            let Some(link) = self.links.get_mut(&id) else { continue };
            link.reset |= link.doomed && !silent;
            if link.reset || !silent {
                wakers.extend(link.wakers());
            }
        }
        self.changed.notify_waiters();
        wakers
    }

    /// Reads what has arrived; nothing at the end.
    pub fn read(&mut self, id: LinkId, most: usize, cx: &Context<'_>) -> Look<Vec<u8>> {
        let now = self.now();
        let Some((silent, link)) = self.link(id, |link| link.to) else { return Look::lost() };
        link.read(now, silent.is_some(), most, cx)
    }

    /// Writes some bytes, at least one; tells how many.
    pub fn write(&mut self, id: LinkId, bytes: &[u8], cx: &Context<'_>) -> Look<usize> {
        let then = self.now() + self.link_latency(id);
        self.moves += 1;
        let Some((silent, link)) = self.link(id, |link| link.from) else { return Look::lost() };
        link.write(silent, bytes, then, cx)
    }

    /// Nothing more is written.
    pub fn end(&mut self, id: LinkId) -> Option<Waker> {
        let then = self.now() + self.link_latency(id);
        self.moves += 1;
        let (silent, link) = self.link(id, |link| link.from)?;
        link.end(silent, then)
    }

    /// An end of a direction is dropped.
    pub fn leave(&mut self, id: LinkId, reads: bool) -> Option<Waker> {
        let waker = if reads { self.links.get_mut(&id)?.leave() } else { self.end(id) };
        let link = self.links.get_mut(&id)?;
        link.unwritten |= !reads;
        if link.unread && link.unwritten {
            self.links.remove(&id);
        }
        waker
    }

    /// A direction of a connection, and whether it is silent now; none if it is lost, or the host that asks is.
    fn link(&mut self, id: LinkId, asks: fn(&Link) -> HostId) -> Option<(Option<Silence>, &mut Link)> {
        let link = self.links.get(&id)?;
        if self.off.contains(&asks(link)) {
            return None;
        }
        let wall = self.walls.get(&(link.from.min(link.to), link.from.max(link.to))).copied();
        let silent = wall.or_else(|| self.is_silent(link.from, link.to).then_some(Silence::Hold));
        Some((silent, self.links.get_mut(&id)?))
    }

    fn link_latency(&mut self, id: LinkId) -> Duration {
        let ends = self.links.get(&id).map(|link| (link.from, link.to));
        ends.map_or(Duration::ZERO, |(from, to)| self.latency_between(from, to))
    }
}
