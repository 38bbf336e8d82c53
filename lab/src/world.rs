//! The usual ensemble: the drawing, its servers, and a daemon that has settled.

use crate::flows::{Protocol, spread};
use crate::topology::servers;
use crate::{
    ConfigText, Connector, ConnectorPlan, ConnectorReport, Flows, LabError, Plan, Rail, Servers,
    Topology, normal, try_eventually,
};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// A network with a running router.
#[derive(Debug)]
pub struct World {
    /// The daemon; first, so that it ends before its network does.
    pub rail: Rail,
    /// The servers of the internet.
    pub servers: Servers,
    /// The drawing.
    pub topology: Topology,
}

impl World {
    /// Builds the drawing, starts servers and daemon, and waits until all uplinks are up.
    ///
    /// # Errors
    /// When a part fails, or the uplinks are not up within ten seconds.
    pub fn start(plan: &Plan, text: &ConfigText) -> Result<Self, LabError> {
        let world = Self::begin(Topology::build(plan)?, text)?;
        world.rail.wait_all_up(Duration::from_secs(10))?;
        Ok(world)
    }

    /// Starts servers and daemon in a drawing that is as the test wants it, and waits for no uplink.
    ///
    /// # Errors
    /// When a part fails.
    pub fn begin(topology: Topology, text: &ConfigText) -> Result<Self, LabError> {
        let servers = Servers::start(&topology.internet, &servers())?;
        let rail = Rail::run(&topology.router, &topology.config(text))?;
        Ok(Self { rail, servers, topology })
    }

    /// The router's addresses, uplink 1 first: what servers see.
    pub fn sources(&self) -> Vec<Ipv4Addr> {
        self.topology.lines.iter().map(|line| line.address()).collect()
    }

    /// A plan of connections from all clients to all servers, one each 10 ms.
    pub fn plan(&self) -> ConnectorPlan {
        ConnectorPlan::new(self.topology.clients(), &servers())
    }

    /// Starts opening a connection each 10 ms.
    pub fn connector(&self) -> Connector {
        Connector::start(&self.topology.client, self.plan())
    }

    /// Opens this many connections, as fast as five each millisecond.
    ///
    /// # Errors
    /// When the connector fails.
    pub fn connect(&self, count: usize) -> Result<ConnectorReport, LabError> {
        Connector::start(&self.topology.client, self.burst(count)).finish()
    }

    /// Opens this many connections from one client to one server.
    ///
    /// # Errors
    /// When the connector fails.
    pub fn connect_one_pair(&self, count: usize) -> Result<ConnectorReport, LabError> {
        let mut plan = self.burst(count);
        plan.sources.truncate(1);
        plan.servers.truncate(1);
        Connector::start(&self.topology.client, plan).finish()
    }

    fn burst(&self, count: usize) -> ConnectorPlan {
        let (count, period) = (Some(count), Duration::from_micros(200));
        ConnectorPlan { count, period, at_once: 64, ..self.plan() }
    }

    /// Starts long flows.
    pub fn flows(&self, tcp: usize, udp: usize) -> Flows {
        let (clients, servers) = (self.topology.clients(), servers());
        let mut plan = spread(Protocol::Tcp, tcp, &clients, &servers);
        plan.extend(spread(Protocol::Udp, udp, &clients, &servers));
        Flows::start(&self.topology.client, plan)
    }

    /// Kills the daemon under connections and starts it again; how many failed, and what the
    /// restart changed in the kernel.
    ///
    /// # Errors
    /// When the daemon or the connector fails.
    pub fn kill_and_restart(&mut self) -> Result<(usize, String), LabError> {
        let before = normal::state(&self.topology.router)?;
        let connector = self.connector();
        self.wait_for(&connector, 30)?;
        self.rail.kill()?;
        self.wait_for(&connector, 60)?;
        self.rail.start()?;
        self.rail.wait_all_up(Duration::from_secs(15))?;
        self.wait_for(&connector, 60)?;
        let failed = connector.stop()?.failed();
        Ok((failed, normal::difference(&before, &normal::state(&self.topology.router)?)))
    }

    /// Has the daemon forget how often the uplinks fell, one after the other, so that the next return of none
    /// is held back. The state of the kernel is the same after each time, in the same order.
    ///
    /// # Errors
    /// As [`Rail::wait_health`].
    pub fn forget_falls(&self, limit: Duration) -> Result<(), LabError> {
        self.topology.lines.iter().try_for_each(|line| self.rail.forget_falls(&line.name(), limit))
    }

    /// Waits until this many more connections have ended.
    ///
    /// # Errors
    /// When they do not within a minute.
    pub fn wait_for(&self, connector: &Connector, more: usize) -> Result<Instant, LabError> {
        let goal = connector.ended() + more;
        try_eventually(Duration::from_secs(60), "connections", || {
            let ended = connector.ended();
            if ended >= goal { Ok(Instant::now()) } else { Err(ended) }
        })
    }
}
