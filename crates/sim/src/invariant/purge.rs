//! Connections are deleted only of an uplink that is not usable, only while another
//! uplink is and has answered this process, and only those that can move.

use super::{Happening, Law};
use crate::kernel::Flow;
use crate::scene::{Class, Line, Scene};
use rail_core::{Purge, Which};
use rail_core::net::UplinkId;
use rail_core::status::Role;
use rail_core::time::Duration;

/// See the module.
#[derive(Default)]
pub(super) struct PurgeLaw;

impl Law for PurgeLaw {
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        match what {
            Happening::Purge(purge) => asked(scene, purge),
            Happening::Purged { uplink, removed } => deleted(scene, *uplink, removed),
            _ => Ok(()),
        }
    }
}

fn asked(scene: &Scene, purge: &Purge) -> Result<(), String> {
    // What no uplink has: its mark is that of none of them.
    if purge.which == Which::All {
        let mask = scene.config.ranges.mark_mask;
        return match (purge.mark, purge.mask) == (mask, mask) {
            true => Ok(()),
            false => Err(format!("connections that uplinks have are deleted: {purge:?}")),
        };
    }
    let Some(i) = scene.lines.iter().position(|line| line.id == purge.uplink) else {
        return Err(format!("a purge of uplink {}, which does not exist", purge.uplink));
    };
    let (line, name) = (&scene.lines[i], &scene.config.uplinks[i].name);
    if purge.mark != line.mark || purge.mask != scene.config.ranges.mark_mask {
        return Err(format!("a purge of {name} names other connections: {purge:?}"));
    }
    // Connections from an address that is leased no more lead nowhere, however well the uplink is.
    if !purge.yields && scene.is_leased(i) {
        return Ok(());
    }
    // One that was left for a better one is well.
    let is_left = scene.is_left(i, purge);
    if purge.which == Which::MovableUdp && !is_left {
        return Err(format!("UDP connections of {name} are deleted, and nobody wants that"));
    }
    if line.health.is_usable() && !is_left {
        return Err(format!("connections of {name} are deleted, which is {}", line.health));
    }
    if !is_left && line.class == Class::Perfect && scene.is_return_overdue(i) {
        return Err(format!("connections of {name} are deleted, which is well"));
    }
    let carries = |(n, other): (usize, &Line)| {
        let has_answered = scene.net.lines[n].last_arrival >= scene.excuses.started;
        n != i && other.role == Role::Active && other.health.is_alive() && has_answered
    };
    if !scene.lines.iter().enumerate().any(carries) {
        return Err(format!("connections of {name} are deleted, and cannot move"));
    }
    if goes_there(scene, i) {
        return Err(format!("connections of {name} are deleted, and new ones still go there"));
    }
    Ok(())
}

/// New connections go by this uplink, and the daemon can know.
fn goes_there(scene: &Scene, line: usize) -> bool {
    let goes = scene.ways.fresh.iter().any(|way| way.line == Some(line));
    // A process that was paused reads what it was told meanwhile; and one whose address somebody took,
    // routes and all, reads that some 20 ms later, if no slow reading is under way.
    let excuses = &scene.excuses;
    let is_told = scene.now > excuses.blind_until.max(excuses.resumed + READ)
        && excuses.has_passed(scene.now, excuses.last_loss(), READ);
    goes && !scene.is_damaged && is_told
}

fn deleted(scene: &Scene, uplink: UplinkId, removed: &[Flow]) -> Result<(), String> {
    // An address that another program has taken away is nobody's: it may come back, or not.
    // One that it has just set, or that was leased just now, a deletion that was asked for before does not know.
    let is_there = |i: usize| {
        (!scene.kept.contains(&i) || scene.is_given(i) && !scene.is_given_anew(i))
            && !scene.has_new_lease(i)
    };
    let is_own = |ip| {
        let mut uplinks = scene.config.uplinks.iter().enumerate().filter(|(i, _)| is_there(*i));
        uplinks.any(|(_, uplink)| uplink.own_addresses().any(|own| own == ip))
    };
    let other = |flow: &Flow| scene.lines.iter().any(|l| l.mark == flow.mark && l.id != uplink);
    let stays = |flow: &&Flow| is_own(flow.source) || is_own(flow.destination) || other(flow);
    if let Some(flow) = removed.iter().find(stays) {
        return Err(format!("a connection was deleted that cannot move: {flow:?}"));
    }
    let line = scene.lines.iter().position(|line| line.id == uplink);
    // The return calls the deletion off, as soon as what the router does just then is done.
    let is_back = |line: &Line| {
        let since = line.health_since;
        line.health.is_usable() && scene.excuses.is_overdue_though_blind(scene.now, since, SPARED)
    };
    if let (Some(i), false) = (line, removed.is_empty())
        && !scene.is_leased(i)
        && is_back(&scene.lines[i])
        && goes_there(scene, i)
    {
        let name = &scene.config.uplinks[i].name;
        return Err(format!("connections of {name} were deleted after its return"));
    }
    Ok(())
}

/// From a return to the end of the deletions.
const SPARED: Duration = Duration::from_millis(50);
/// From the end of a pause, or from somebody's change, to the end of the first reading.
const READ: Duration = Duration::from_millis(50);
