//! A network of many hosts in one process, in which everything that happens to real ones can be made to happen.

mod link;
mod stream;
#[cfg(test)]
mod tests;
mod world;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

pub use self::link::Silence;
use self::stream::{Ends, SimulatedStream};
use self::world::{Clock, HostId, World};
use super::{BoxFuture, BoxStream, CONNECT_TIMEOUT, Listener, Transport};

/// Most connections that wait at a port to be accepted, as is usual.
const BACKLOG: usize = 128;

/// A network of many hosts in one process.
///
/// Time is tokio's. On a runtime of one thread with its clock paused, which needs tokio's feature `test-util`, minutes
/// pass at once, and the same seed gives the same run, as long as what runs on it does the same: `tokio::select!`, for
/// example, is random unless it is `biased`, and so is the order in which a `watch` wakes those who wait. Times are
/// rounded up to milliseconds, because tokio's are.
///
/// # Examples
/// ```
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
/// # runtime.block_on(async {
/// use skitter::net::{Silence, Simulated, Transport};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// let network = Simulated::new(1);
/// let (a, b) = (network.host("a"), network.host("b"));
/// let mut listener = b.listen("[::]:80".parse()?).await?;
/// let mut dialled = a.connect("b", 80).await?;
/// let (mut accepted, _) = listener.accept().await?;
///
/// network.partition("a", "b", Silence::Hold);
/// dialled.write_all(b"hello").await?;
/// network.heal("a", "b");
/// let mut bytes = [0; 5];
/// accepted.read_exact(&mut bytes).await?;
///
/// network.cut("a", "b");
/// assert!(accepted.read_exact(&mut bytes).await.is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Simulated {
    world: Arc<Mutex<World>>,
}

impl Simulated {
    /// A network without hosts, in which bytes take from 0.1 to 2 ms, by the seed.
    pub fn new(seed: u64) -> Simulated {
        Simulated { world: Arc::new(Mutex::new(World::new(seed, Clock::Tokio(Instant::now())))) }
    }

    /// The same, for hosts that each have a runtime of their own, and with it a clock: nothing arrives but when
    /// somebody [steps](Simulated::step) on.
    pub fn stepped(seed: u64) -> Simulated {
        Simulated { world: Arc::new(Mutex::new(World::new(seed, Clock::Stepped(Duration::ZERO)))) }
    }

    /// Moves the time of a network on that does not have tokio's.
    pub fn step(&self, by: Duration) {
        let wakers = lock(&self.world).step(by);
        wake(wakers);
    }

    /// How many pieces were written, and connections made, so far: as long as that stays the same, nothing happens.
    pub fn moves(&self) -> u64 {
        lock(&self.world).moves
    }

    /// How long bytes take from now on, between different hosts. Each piece that is written takes its own time, and
    /// none overtakes another one of the same connection.
    pub fn latency(&self, range: RangeInclusive<Duration>) {
        self.change(|world| world.latency = range);
    }

    /// A host, as the nodes on it see the network; a new one if there is none of this name. On each, `localhost` is the
    /// host itself; others are found by name or by IP address.
    pub fn host(&self, name: &str) -> Arc<SimulatedHost> {
        let id = lock(&self.world).host(name);
        Arc::new(SimulatedHost { world: Arc::clone(&self.world), id })
    }

    /// Nothing gets from one of these hosts to the other any more, and none is told so.
    pub fn partition(&self, a: &str, b: &str, silence: Silence) {
        self.change(|world| {
            let pair = world.pair(a, b);
            world.walls.insert(pair, silence);
        });
    }

    /// Nothing gets to this host or from it any more, as if it were frozen or without its cable; nobody is told so.
    pub fn isolate(&self, host: &str) {
        self.change(|world| {
            let id = world.host(host);
            world.isolated.insert(id);
        });
    }

    /// Ends a partition. What was held back arrives.
    pub fn heal(&self, a: &str, b: &str) {
        self.change(|world| {
            let pair = world.pair(a, b);
            world.walls.remove(&pair);
        });
    }

    /// Ends all partitions and isolations.
    pub fn heal_all(&self) {
        self.change(|world| {
            world.walls.clear();
            world.isolated.clear();
        });
    }

    /// All connections between two hosts are reset, now. New ones can be made.
    pub fn cut(&self, a: &str, b: &str) {
        self.change(|world| {
            let pair = world.pair(a, b);
            world.reset_between(pair);
        });
    }

    /// All processes of a host are killed: their connections are reset, their ports closed. New ones can be opened at
    /// once; whoever calls this drops the futures of the killed ones.
    pub fn kill(&self, host: &str) {
        self.change(|world| {
            let id = world.host(host);
            world.kill(id);
        });
    }

    /// A host loses power: nobody is told so, and nothing comes from it any more. Whoever calls this drops the futures
    /// of its processes.
    pub fn power_off(&self, host: &str) {
        self.change(|world| {
            let id = world.host(host);
            world.kill_silently(id);
        });
    }

    /// A host without power gets it back. It does not know the connections that it had, so they are reset.
    pub fn power_on(&self, host: &str) {
        self.change(|world| {
            let id = world.host(host);
            world.off.remove(&id);
        });
    }

    /// Changes the world, and wakes who has waited for that.
    fn change(&self, change: impl FnOnce(&mut World)) {
        let mut world = lock(&self.world);
        change(&mut world);
        let wakers = world.settle();
        drop(world);
        wake(wakers);
    }
}

impl fmt::Debug for Simulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<String> = lock(&self.world).names().map(str::to_owned).collect();
        f.debug_struct("Simulated").field("hosts", &hosts).finish_non_exhaustive()
    }
}

/// A host of a [`Simulated`] network, as the nodes on it see the network.
pub struct SimulatedHost {
    world: Arc<Mutex<World>>,
    id: HostId,
}

impl fmt::Debug for SimulatedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedHost").field("id", &self.id).finish_non_exhaustive()
    }
}

impl SimulatedHost {
    /// The IP address of the host.
    pub fn address(&self) -> std::net::IpAddr {
        World::address(self.id).into()
    }

    async fn reach(&self, host: &str, port: u16) -> io::Result<BoxStream> {
        let changed = Arc::clone(&lock(&self.world).changed);
        loop {
            let mut change = pin!(changed.notified());
            change.as_mut().enable();
            let found = lock(&self.world).route(self.id, host)?;
            let Some((to, latency)) = found else {
                // Nobody answers; perhaps later.
                change.await;
                continue;
            };
            // There and back.
            sleep(latency * 2).await;
            let listener = lock(&self.world).listener(self.id, to, port)?;
            let Ok(place) = listener.reserve_owned().await else { return Err(refused()) };
            let mut world = lock(&self.world);
            if world.is_silent(self.id, to) {
                continue;
            }
            let (here, there) = world.connect(self.id, to, port);
            drop(world);
            let stream = |ends: Ends| Box::new(SimulatedStream::new(&self.world, ends));
            place.send((stream(there), there.peer));
            return Ok(stream(here));
        }
    }
}

impl Transport for SimulatedHost {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<BoxStream>> {
        Box::pin(async move {
            let late = |_| io::Error::new(io::ErrorKind::TimedOut, format!("`{host}` does not answer"));
            timeout(CONNECT_TIMEOUT, self.reach(host, port)).await.map_err(late)?
        })
    }

    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let (connections, accepted) = mpsc::channel(BACKLOG);
            let address = lock(&self.world).listen(self.id, address, connections)?;
            let listener = SimulatedListener { world: Arc::clone(&self.world), id: self.id, address, accepted };
            Ok(Box::new(listener) as Box<dyn Listener>)
        })
    }

    fn time_of_day(&self) -> Duration {
        lock(&self.world).time_of_day()
    }
}

/// A port of a host.
struct SimulatedListener {
    world: Arc<Mutex<World>>,
    id: HostId,
    address: SocketAddr,
    accepted: mpsc::Receiver<(Box<SimulatedStream>, SocketAddr)>,
}

impl Listener for SimulatedListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxStream, SocketAddr)>> {
        Box::pin(async move {
            match self.accepted.recv().await {
                Some((stream, address)) => Ok((stream as BoxStream, address)),
                // Its process was killed, and does nothing any more.
                None => std::future::pending().await,
            }
        })
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

impl Drop for SimulatedListener {
    fn drop(&mut self) {
        self.accepted.close();
        lock(&self.world).close(self.id, self.address.port());
    }
}

fn refused() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, "nobody listens there")
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    // Nothing panics while it is held.
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Wakes who waits; never while the world is locked, for whoever is woken may look at it.
fn wake(wakers: Vec<Waker>) {
    wakers.into_iter().for_each(Waker::wake);
}
