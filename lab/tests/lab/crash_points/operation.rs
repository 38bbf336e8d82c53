//! What is interrupted: how it is prepared, begun, and when it is done.

use super::stage::Stage;
use rail_lab::Fault;
use std::time::Duration;

/// An operation of the daemon.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operation {
    /// The first start on a clean router.
    Boot,
    /// Uplink 1 loses its carrier.
    Cut,
    /// Uplink 1 falls silent.
    Silence,
    /// Uplink 1, silent before, is back.
    Return,
    /// A reload brings uplink 2 and a forward.
    Add,
    /// A reload takes uplink 2 and a forward.
    Remove,
    /// A start over a state that was damaged while nobody watched.
    Restart,
    /// `rail stop --withdraw`.
    Withdraw,
}

impl Operation {
    /// The uplink whose connections may suffer, from 1.
    pub(crate) fn victim(self) -> Option<usize> {
        match self {
            Self::Cut | Self::Silence | Self::Restart => Some(1),
            Self::Remove => Some(2),
            // While uplink 1 is down nobody lives on it.
            Self::Boot | Self::Return | Self::Add | Self::Withdraw => None,
        }
    }

    /// True if connections of healthy uplinks must live through it.
    pub(crate) fn keeps_traffic(self) -> bool {
        !matches!(self, Self::Boot | Self::Withdraw)
    }

    /// True if the start of the daemon is the operation.
    pub(crate) fn is_start(self) -> bool {
        matches!(self, Self::Boot | Self::Restart)
    }

    /// How often connections are removed until all is done.
    pub(crate) fn purges(self) -> usize {
        match self {
            Self::Cut | Self::Silence => 2,
            // Besides those that can move: what bears the uplink's address, at either end.
            Self::Remove => 4,
            _ => 0,
        }
    }

    /// Brings the router to where the operation begins, by a daemon that does not die.
    pub(crate) fn prepare(self, stage: &mut Stage) {
        let config = if self == Self::Add { &stage.less } else { &stage.full };
        stage.rail.write_config(config).unwrap();
        if self == Self::Boot {
            return;
        }
        stage.rail.start().unwrap();
        stage.rail.wait_all_up(LIMIT).unwrap();
        if self == Self::Return {
            stage.inject(Fault::Gateway);
            stage.wait_line_1("down");
        }
    }

    /// Damages what nobody watches.
    pub(crate) fn damage(self, stage: &Stage) {
        if self != Self::Restart {
            return;
        }
        // Of uplink 1 all that an uplink has, so that the others go on.
        let router = &stage.topology.router;
        router
            .ip_batch(
                "rule del priority 20101\nrule del priority 20301\nrule del priority 20501\n\
                 route flush table 20001 proto 82\naddr del 100.64.1.2/24 dev wan1\n",
            )
            .unwrap();
        router.set("net/ipv4/conf/wan1/rp_filter", "1").unwrap();
        router.nft("flush chain inet rail input\n").unwrap();
    }

    /// Begins it; the daemon may die over it.
    pub(crate) fn begin(self, stage: &mut Stage) {
        match self {
            Self::Boot | Self::Restart => {}
            Self::Cut => stage.inject(Fault::Carrier),
            Self::Silence => stage.inject(Fault::Gateway),
            Self::Return => stage.repair(),
            Self::Add | Self::Remove => {
                let config = if self == Self::Add { &stage.full } else { &stage.less };
                stage.rail.write_config(config).unwrap();
                // A daemon that died over it gives no answer.
                drop(stage.rail.ask(&["reload"]).unwrap());
            }
            Self::Withdraw => drop(stage.rail.ask(&["stop", "--withdraw"]).unwrap()),
        }
    }

    /// Whether the daemon has come to the end of it.
    pub(crate) fn is_done(self, stage: &Stage) -> Result<(), String> {
        let status = stage.rail.status().map_err(|e| e.to_string())?;
        let health = |line: usize| match (self, line) {
            (Self::Cut, 1) => "no-carrier",
            (Self::Silence, 1) => "down",
            _ => "up",
        };
        let lines: &[usize] = if self == Self::Remove { &[1, 3] } else { &[1, 2, 3] };
        let uplinks = status["uplinks"].as_array().cloned().unwrap_or_default();
        let as_wanted = uplinks.len() == lines.len()
            && uplinks.iter().zip(lines).all(|(uplink, line)| {
                uplink["name"] == format!("isp{line}") && uplink["health"] == health(*line)
            });
        if as_wanted && status["settled"] == true {
            return Ok(());
        }
        Err(format!("settled {}: {}", status["settled"], status["uplinks"]))
    }
}

/// For what takes a second at most, on a machine that is busy with other things.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);
