//! Faults that can be injected and repaired, and when they were.
//!
//! An uplink holds one fault at a time: a repair empties the chains of its nodes. The time of
//! a fault is taken just before the tool starts, so every measured outage includes it.

use crate::delay::Delay;
use crate::topology::Line;
use crate::{LabError, Topology};
use std::fmt;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// What can break on an uplink.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The gateway answers for itself and forwards nothing.
    Gateway,
    /// The hop behind the gateway forwards nothing.
    SecondHop,
    /// Nothing gets out; what comes from the internet arrives.
    OneWayOut,
    /// Nothing comes back; what the router sends arrives.
    OneWayBack,
    /// The gateway answers ARP and nothing else.
    Mute,
    /// The cable is cut at the provider's end.
    Carrier,
    /// This many per cent of what the router sends are lost.
    Loss(u8),
    /// Everything the router sends is late by this much.
    Latency(Duration),
    /// The provider lets this many echo requests through in a second.
    EchoLimit(u32),
    /// One target does not answer on this uplink.
    Target(Ipv4Addr),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway => f.write_str("silent gateway"),
            Self::SecondHop => f.write_str("silent second hop"),
            Self::OneWayOut => f.write_str("one way out lost"),
            Self::OneWayBack => f.write_str("one way back lost"),
            Self::Mute => f.write_str("gateway answers ARP only"),
            Self::Carrier => f.write_str("cable cut"),
            Self::Loss(percent) => write!(f, "{percent} % loss"),
            Self::Latency(by) => write!(f, "{} ms latency", by.as_millis()),
            Self::EchoLimit(rate) => write!(f, "{rate} echoes a second"),
            Self::Target(target) => write!(f, "target {target} silent"),
        }
    }
}

/// A fault in force. Dropping it leaves it in force.
#[derive(Debug)]
pub struct Injected {
    line: Line,
    fault: Fault,
    /// Just before the fault was put in.
    pub since: Instant,
    delay: Option<Delay>,
}

impl Topology {
    /// Breaks uplink `number`, from 1.
    ///
    /// # Errors
    /// When a tool refuses it, or a second hop is asked for and not there.
    pub fn inject(&self, number: usize, fault: Fault) -> Result<Injected, LabError> {
        let line = self.line(number).clone();
        let since = Instant::now();
        let rule = |direction: &str| format!("add rule inet lab forward {direction}\n");
        let mut delay = None;
        match fault {
            Fault::Gateway => line.isp.nft(&rule("drop"))?,
            Fault::SecondHop => match &line.transit {
                Some(transit) => transit.nft(&rule("drop"))?,
                None => return Err(LabError::Refused("this drawing has no second hop".into())),
            },
            Fault::OneWayOut => line.isp.nft(&rule("iifname acc drop"))?,
            Fault::OneWayBack => line.isp.nft(&rule("oifname acc drop"))?,
            Fault::Mute => {
                line.isp.nft(&format!("{}add rule inet lab input drop\n", rule("drop")))?;
            }
            Fault::Carrier => line.isp.ip_batch("link set acc down\n")?,
            Fault::Loss(100..) => line.isp.nft(&rule("iifname acc drop"))?,
            Fault::Loss(percent) => {
                let text = format!("iifname acc numgen random mod 100 < {percent} drop");
                line.isp.nft(&rule(&text))?;
            }
            Fault::Latency(by) => {
                let (node, interface) = line.far();
                delay = Some(Delay::start(node, interface, by)?);
            }
            Fault::EchoLimit(rate) => {
                let over = format!("limit rate over {rate}/second burst 5 packets drop");
                line.isp.nft(&rule(&format!("iifname acc icmp type echo-request {over}")))?;
            }
            Fault::Target(target) => line.isp.nft(&rule(&format!("ip daddr {target} drop")))?,
        }
        Ok(Injected { line, fault, since, delay })
    }
}

impl Injected {
    /// The fault.
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// Makes the latency another one, and loses nothing.
    ///
    /// # Panics
    /// When the fault is none of latency.
    pub fn change_latency(&self, by: Duration) {
        self.delay.as_ref().expect("a fault of latency").change(by);
    }

    /// Removes the fault; returns when, taken just before.
    ///
    /// # Errors
    /// When a tool refuses it.
    pub fn repair(mut self) -> Result<Instant, LabError> {
        let at = Instant::now();
        let flush = "flush chain inet lab forward\nflush chain inet lab input\n";
        match self.fault {
            Fault::Carrier => self.line.isp.ip_batch("link set acc up\n")?,
            Fault::Latency(_) => {
                if let Some(delay) = self.delay.take() {
                    delay.stop()?;
                }
            }
            Fault::SecondHop => {
                if let Some(transit) = &self.line.transit {
                    transit.nft(flush)?;
                }
            }
            Fault::Gateway
            | Fault::OneWayOut
            | Fault::OneWayBack
            | Fault::Mute
            | Fault::Loss(_)
            | Fault::EchoLimit(_)
            | Fault::Target(_) => self.line.isp.nft(flush)?,
        }
        Ok(at)
    }
}
