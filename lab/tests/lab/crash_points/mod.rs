//! Death by SIGKILL at every change of the kernel, operation by operation.
//!
//! Each operation (first start, failover, return, reload, restart, withdrawal) is begun by a
//! daemon that kills itself before, during or after its n-th change; n grows until the operation
//! ends alive. At each point: what is well goes on, the router is reached from the LAN, nothing
//! gets in; a restart comes where an undisturbed run comes, and a withdrawal leaves nothing.
//!
//! A restart changes nothing that is in order, so the first change of a daemon that was started
//! over a good state is the first change of the operation.

mod operation;
mod stage;
mod witness;

use operation::Operation;
use rail_lab::{figures, isolated, long};
use stage::Stage;

#[test]
fn first_start() {
    isolated(|| at_every_change(Operation::Boot, 18));
}

#[test]
fn failover_by_a_cut_cable() {
    isolated(|| at_every_change(Operation::Cut, 4));
}

#[test]
fn failover_by_silence() {
    isolated(|| at_every_change(Operation::Silence, 4));
}

#[test]
fn return_of_a_line() {
    isolated(|| at_every_change(Operation::Return, 4));
}

#[test]
fn reload_that_adds_an_uplink_and_a_forward() {
    isolated(|| at_every_change(Operation::Add, 9));
}

#[test]
fn reload_that_removes_an_uplink_and_a_forward() {
    isolated(|| at_every_change(Operation::Remove, 9));
}

#[test]
fn restart_over_a_damaged_state() {
    isolated(|| at_every_change(Operation::Restart, 7));
}

#[test]
fn withdrawal() {
    isolated(|| at_every_change(Operation::Withdraw, 18));
}

/// Every point with `RAIL_LONG=1`, else each `stride`-th.
fn at_every_change(operation: Operation, stride: usize) {
    let stride = if long() { 1 } else { stride };
    let mut stage = Stage::new(operation);
    let mut points = Vec::new();
    for moment in ["before", "during", "after"] {
        let mut died = 0;
        let mut n = 1;
        // The full form does not believe the undisturbed run: it goes on until nobody dies.
        let last = if long() { usize::MAX } else { stage.changes(moment) };
        while n <= last && stage.interrupt(&format!("{moment}:{n}")) {
            died += 1;
            n += stride;
        }
        points.push(format!("{died} {moment}"));
        assert!(died > 0 || moment == "during", "nobody died {moment} a change");
    }
    let seen = stage.end();
    figures(&format!("{operation:?}: deaths at changes: {}; {seen}", points.join(", ")));
}
