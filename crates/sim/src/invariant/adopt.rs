//! A restart adopts: if all was in order when the process was killed, and nothing
//! happened since, the new one changes nothing. That holds as well where no uplink is usable, and
//! the least bad ones carry what they can, until one that was dead answers: it is better then.

use super::{Happening, Law};
use crate::scene::{Class, Line, Scene};
use rail_core::notice::{Notice, UplinkNews};
use rail_core::status::Health;
use rail_core::time::{Duration, Instant};

/// See the module.
#[derive(Default)]
pub(super) struct Adopt {
    /// When all was last seen in order.
    good: Option<Instant>,
    /// The process was killed when all was in order.
    adopting: Option<Instant>,
}

impl Law for Adopt {
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        match what {
            Happening::Quiet(status) => {
                self.good = status.settled.then_some(scene.now);
            }
            Happening::Killed => {
                let disturbed = scene.excuses.disturbed;
                // A doubt comes and goes, and on a bad uplink it comes at once. One that loses may be
                // degraded at any time.
                let is_doubtful = |(i, l): (usize, &Line)| {
                    let is_lossy = scene.net.lines[i].loss_pct > 0;
                    l.health == Health::Suspect || l.class == Class::Gray || is_lossy
                };
                let is_doubted = scene.lines.iter().enumerate().any(is_doubtful);
                self.adopting = self.good.filter(|at| *at > disturbed && !is_doubted);
            }
            Happening::Started => self.good = None,
            Happening::Said(Notice::Uplink(UplinkNews::Health {
                from: Health::Down | Health::Held,
                ..
            })) => {
                self.adopting = None;
            }
            Happening::Change(change) => {
                self.good = None;
                let Some(at) = self.adopting else { return Ok(()) };
                let undisturbed = scene.excuses.disturbed < at;
                let fresh = FRESH.min(scene.config.check.timeout);
                let is_fresh = scene.now < scene.excuses.started + fresh;
                if undisturbed && is_fresh && scene.excuses.started > at && !scene.withdrawing {
                    return Err(format!("after a restart {} was changed: {:?}", change.key, change.op));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Before an uplink can have died anew; one that was held back is down again with the first lost probe.
const FRESH: Duration = Duration::from_millis(700);
