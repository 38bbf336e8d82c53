//! The shell's part of the world: performs what a router asks for, in order and
//! with the latencies of the seed, and tells it what came of it.

use super::{Event, MS, SEC, World};
use crate::fault::Fault;
use crate::invariant::{Happening, do_rules_stand};
use crate::kernel::{Flow, Table};
use crate::node::Work;
use crate::scene::{Change, Way};
use rail_core::net::UplinkId;
use rail_core::notice::{LeaseNews, Notice, ReconcileNews, UplinkNews};
use rail_core::state::{Key, Observed, Op, Scope, Step};
use rail_core::time::Duration;
use rail_core::{Input, Output, Purge};
use std::net::{IpAddr, Ipv4Addr};

impl World {
    pub(super) fn perform(&mut self, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Send { port, to, bytes } => self.send(port, to, &bytes),
                Output::Ask(id, ask) => self.ask(id, &ask),
                Output::CancelAsks(asker) => self.cancel_asks(asker),
                // Whoever is asked answers at once in this world, or is dead.
                Output::Resolve(..) => {}
                Output::Ports(ports) => {
                    self.scene.ports = ports;
                    self.judge(&Happening::Ports);
                }
                Output::Children(list) => self.have_children(list),
                Output::Notice(notice) => self.hear(&notice),
                Output::Purge(purge) => {
                    self.judge(&Happening::Purge(&purge));
                    self.node.queue.push_back(Work::Output(Output::Purge(purge)));
                }
                Output::Apply(plan) => self.node.queue.extend(plan.into_iter().map(Work::Step)),
                Output::Observe(scope) => self.node.queue_reading(scope),
                other => self.node.queue.push_back(Work::Output(other)),
            }
        }
        self.begin_work();
    }

    pub(super) fn begin_work(&mut self) {
        if self.node.is_working {
            return;
        }
        let Some(work) = self.node.queue.front() else { return };
        let latency = self.trouble.latency(work, &mut self.dice);
        self.node.is_working = true;
        self.scene.excuses.lose(self.scene.now, latency);
        self.after(latency, Event::Work(self.node.life));
    }

    pub(super) fn work(&mut self) {
        self.node.is_working = false;
        let Some(work) = self.node.queue.pop_front() else { return };
        match work {
            Work::Step(step) if matches!(step.op, Op::Script(_)) => self.begin_transaction(step),
            Work::Step(step) => {
                let result = self.change(&step);
                self.deliver(Input::Applied(step.key, result));
            }
            Work::Output(output) => self.output(output),
        }
        self.begin_work();
    }

    /// It has a lane of its own. Nothing waits for it, so it excuses nothing but what it changes
    /// itself.
    fn begin_transaction(&mut self, step: Step) {
        let latency = self.trouble.transaction(&mut self.dice);
        self.note(format!("{}: a transaction begins, for {} ms", step.key, latency.as_millis()));
        assert!(self.node.transaction.is_none(), "two transactions at a time");
        self.node.transaction = Some(step);
        // Before the table is there, all that depends on its filter has to wait, and buckets wait for
        // an uplink that the rules do not know. Rules may draw from fewer buckets, or from more.
        let marks = self.scene.lines.iter().map(|line| line.mark);
        let is_drawn = self.scene.kernel.nft.as_ref().is_some_and(Table::asks_buckets);
        // One that lost its lease a moment ago is taken out of them, and may be needed meanwhile.
        let is_taken_out = (0..self.scene.lines.len()).any(|i| self.scene.has_new_lease(i));
        if !is_drawn || is_taken_out || !do_rules_stand(&self.scene, marks) {
            self.scene.excuses.lose_to_rules(self.scene.now, latency);
        }
        let until = self.scene.now + latency;
        self.scene.excuses.disturbed = self.scene.excuses.disturbed.max(until);
        self.after(latency, Event::Transaction(self.node.life));
        self.scene.is_writing = true;
        // A fault that falls into a long one would be rare by itself.
        if latency > SEC && self.dice.permille(500) {
            let wait = self.dice.between(MS * 50, latency);
            self.after(wait, Event::Cut(self.node.life));
        }
    }

    pub(super) fn cut(&mut self) {
        if self.scene.is_writing && self.mix.next(&mut self.dice).is_some() {
            self.inject(Fault::Carrier);
        }
    }

    pub(super) fn end_transaction(&mut self) {
        let Some(step) = self.node.transaction.take() else { return };
        self.scene.is_writing = false;
        let result = self.change(&step);
        if step.key == Key::Firewall {
            self.scene.are_rules_refused = result.is_err();
        }
        self.deliver(Input::Applied(step.key, result));
    }

    pub(super) fn output(&mut self, output: Output) {
        match output {
            Output::Watch(watch) => {
                self.node.watch = watch;
                self.node.looked.clear();
                self.look_soon();
            }
            Output::Observe(scope) => {
                let mut seen = self.scene.kernel.observe(scope, &self.node.watch);
                self.omit(scope, &mut seen);
                self.deliver(Input::Observed(scope, Box::new(seen)));
            }
            Output::Purge(purge) => {
                // One after the other, and a large table takes long.
                let longest = if self.dice.permille(250) { SEC * 3 } else { MS * 30 };
                let wait = self.dice.between(MS, longest);
                let at = self.node.purged_until.max(self.scene.now) + wait;
                self.node.purged_until = at;
                self.after(at.since(self.scene.now), Event::Purge(self.node.life, purge));
            }
            Output::CancelPurge(uplink) => self.cancel_purge(uplink),
            Output::LinkUp(ifname) => {
                self.note(format!("sets {ifname} up"));
                let scope = self.scene.kernel.set_up(ifname, true);
                self.kernel_changed(scope);
            }
            Output::LinkDown(ifname) => {
                self.note(format!("sets {ifname} down"));
                self.scene.kernel.set_up(ifname, false);
                self.scene.refresh_ways();
            }
            Output::Save { saved, durable } => {
                self.node.saves += 1;
                let number = self.node.saves;
                let wait = self.trouble.disk(durable, &mut self.dice);
                self.after(wait, Event::Saved(self.node.life, number, saved, durable));
            }
            Output::Done => {
                self.is_done = true;
                self.node.kill();
                self.scene.is_running = false;
            }
            Output::Send { .. }
            | Output::Ask(..)
            | Output::CancelAsks(_)
            | Output::Resolve(..)
            | Output::Ports(_)
            | Output::Children(_)
            | Output::Notice(_)
            | Output::Apply(_) => {}
        }
    }

    /// Now and then a reading omits an entry without a word, as that of Linux does; never twice in a
    /// row.
    fn omit(&mut self, scope: Scope, seen: &mut Observed) {
        let was_torn = scope.meets(self.trouble.omitted);
        self.trouble.omitted = self.trouble.omitted.without(scope);
        if was_torn || !self.dice.permille(self.trouble.omit_permille) {
            return;
        }
        let total = seen.addresses.len() + seen.routes.len() + seen.rules.len();
        if total == 0 {
            return;
        }
        let at = self.dice.below(total);
        self.trouble.omitted = scope;
        let text = if let Some(key) = seen.addresses.keys().nth(at).copied() {
            seen.addresses.remove(&key);
            // Both are read from one dump.
            let ifindex = self.scene.kernel.links.get(&key.0).map(|link| link.index);
            seen.given.retain(|own| (Some(own.ifindex), own.prefix) != (ifindex, key.1));
            format!("{key:?}")
        } else if let Some(key) = seen.routes.keys().nth(at - seen.addresses.len()).cloned() {
            seen.routes.remove(&key);
            format!("{key:?}")
        } else {
            let rule = seen.rules.remove(at - seen.addresses.len() - seen.routes.len());
            format!("{rule:?}")
        };
        // It is cleared up by another reading, which may be slow.
        self.scene.excuses.disturbed = self.scene.excuses.disturbed.max(self.scene.now);
        self.note(format!("a reading omits {text}"));
    }

    /// Performs one change of the router.
    pub(super) fn change(&mut self, step: &Step) -> Result<(), rail_core::state::OpError> {
        self.ops += 1;
        let before = self.scene.kernel.clone();
        let ways_before = self.scene.ways.clone();
        let refusal = self.trouble.refusal(&step.op, &mut self.dice);
        let mut result = match &refusal {
            Some((error, false)) => Err(error.clone()),
            _ => self.scene.kernel.apply(step),
        };
        let done = result.is_ok();
        if let (Some((error, true)), Ok(())) = (refusal, &result) {
            result = Err(error);
        }
        let words = rail_core::state::describe(&step.op);
        let text = match &result {
            Ok(()) => format!("{}: {words}", step.key),
            Err(e) => format!("{}: {words}: REFUSED: {e}", step.key),
        };
        self.note(text);
        if result.is_err() {
            self.scene.excuses.refused(self.scene.now, &step.key);
        }
        self.scene.refresh_ways();
        let (key, op) = (step.key.clone(), step.op.clone());
        self.judge(&Happening::Change(&Change { key, op, done, before, ways_before }));
        result
    }

    /// Nature or somebody else changed the kernel: notifies the router, or not.
    pub(crate) fn kernel_changed(&mut self, scope: Scope) {
        self.scene.refresh_ways();
        let now = self.scene.now;
        self.scene.excuses.disturbed = self.scene.excuses.disturbed.max(now);
        if !scope.is_empty() {
            self.notify(scope);
        }
        if scope.has(Scope::LINKS) {
            self.look_soon();
        }
    }

    /// The shell looks at the links in use every 20 ms; only the look after a change is an event here.
    fn look_soon(&mut self) {
        let wait = self.dice.between(MS / 10, MS * 22);
        self.after(wait, Event::Look(self.node.life));
    }

    pub(super) fn look(&mut self) {
        let state = |name| {
            let link: Option<&rail_core::state::Link> = self.scene.kernel.links.get(name);
            link.map(|link| (link.index, link.up, link.carrier))
        };
        let seen: Vec<_> = self.node.watch.links.iter().map(state).collect();
        if seen != self.node.looked {
            self.node.looked = seen;
            self.deliver(Input::Changed(Scope::LINKS));
        }
    }

    pub(super) fn notify(&mut self, scope: Scope) {
        let now = self.scene.now;
        if self.dice.permille(self.deaf_permille) {
            // The next full observation comes within a minute.
            self.scene.excuses.blind_until = now + SEC * 61;
            return;
        }
        let mut wait = self.dice.between(Duration::ZERO, MS * 2);
        let mut scope = scope;
        if self.dice.permille(self.overrun_permille) {
            scope = Scope::ALL.without(Scope::SYSCTLS | Scope::NEIGHBOURS);
            wait += self.dice.between(Duration::ZERO, MS * 100);
        }
        if !scope.has(Scope::LINKS) && !scope.has(Scope::NEIGHBOURS) {
            wait += MS * 20;
        }
        wait += self.dice.between(Duration::ZERO, self.delay);
        let due = now + wait;
        self.scene.excuses.disturbed = self.scene.excuses.disturbed.max(due);
        if wait > MS * 30 {
            self.scene.excuses.blind_until = self.scene.excuses.blind_until.max(due);
        }
        self.after(wait, Event::Input(self.node.life, Input::Changed(scope), None));
    }

    pub(super) fn purge(&mut self, purge: &Purge) {
        let removed = self.scene.kernel.purge(purge);
        self.note(format!("purge of uplink {}: {} connections", purge.uplink, removed.len()));
        let count = u32::try_from(removed.len()).unwrap_or(0);
        self.judge(&Happening::Purged { uplink: purge.uplink, removed: &removed });
        self.deliver(Input::Purged { uplink: purge.uplink, result: Ok(count) });
    }

    /// Calls off the deletions of an uplink's connections that have not begun.
    fn cancel_purge(&mut self, uplink: UplinkId) {
        let is_spared = |event: &Event| matches!(event, Event::Purge(_, purge) if purge.uplink == uplink && purge.yields);
        let count = self.events.len();
        self.events.retain(|_, event| !is_spared(event));
        for _ in self.events.len()..count {
            self.deliver(Input::Purged { uplink, result: Ok(0) });
        }
    }

    pub(super) fn hear(&mut self, notice: &Notice) {
        let now = self.scene.now;
        if !matches!(
            notice,
            Notice::Uplink(UplinkNews::Answered { .. })
                | Notice::Reconcile(ReconcileNews::Changed { .. })
        ) {
            let entry = notice.entry();
            let fields = entry.fields.iter().map(|(name, value)| format!("{name}={value}"));
            let fields: Vec<String> = fields.collect();
            self.trace.note(now, format!("  says: {} {}", entry.sentence, fields.join(" ")));
        }
        self.judge(&Happening::Said(notice));
        let names: Vec<&String> = self.scene.config.uplinks.iter().map(|u| &u.name).collect();
        let index = |name: &String| names.iter().position(|n| *n == name);
        match notice {
            Notice::Uplink(UplinkNews::Health { uplink, to, cause, .. }) => {
                if let Some(i) = index(uplink) {
                    self.scene.lines[i].say(now, *to, cause);
                }
                self.last_said = now;
            }
            Notice::Uplink(UplinkNews::Role { uplink, to, .. }) => {
                if let Some(i) = index(uplink) {
                    self.scene.lines[i].role = *to;
                    self.scene.lines[i].role_since = now;
                }
                self.last_said = now;
            }
            Notice::Uplink(UplinkNews::Standby { uplink, called: false }) => {
                self.hear_lease(uplink, None);
            }
            Notice::Lease(LeaseNews::Leased { uplink, address, .. }) => {
                self.hear_lease(uplink, Some(*address));
            }
            Notice::Lease(LeaseNews::LeaseLost { uplink, .. }) => self.hear_lease(uplink, None),
            _ => {}
        }
    }

    pub(super) fn clients(&mut self) {
        self.after(SEC / 2, Event::Clients);
        let ways = self.scene.ways.fresh.clone();
        if !ways.is_empty() && self.scene.kernel.flows.len() < 200 {
            let Way { line, .. } = self.dice.pick(&ways);
            if let Some(line) = line {
                self.begin_flow(line);
            }
        }
        // The other end has nothing to say for a moment.
        if self.dice.permille(50) {
            let line = self.dice.below(self.scene.lines.len());
            self.begin_counting(line, true);
        }
        let excuses = &self.scene.excuses;
        let since = excuses.disturbed.max(self.last_said);
        let now = self.scene.now;
        let is_quiet = excuses.is_overdue(now, since, SEC * 2) && self.scene.is_running;
        if is_quiet && now > self.last_quiet + SEC * 4 && !self.node.is_paused {
            self.last_quiet = now;
            if let Some(status) = self.node.router.as_ref().map(|r| r.status(now)) {
                self.scene.is_configured |= status.settled;
                self.scene.is_damaged &= !status.settled;
                // Heavy loss may look like a limiter for a while; then it is asked seldom, as the status says.
                for (line, uplink) in self.scene.lines.iter_mut().zip(&status.uplinks) {
                    line.was_limited |= uplink.limited_per_s.is_some();
                }
                self.judge(&Happening::Quiet(&status));
            }
        }
    }

    /// One connection out by an uplink, one in by it, one of the router itself.
    pub(super) fn begin_flow(&mut self, line: usize) {
        let mark = self.scene.lines[line].mark;
        let Some(own) = self.scene.config.uplinks[line].address() else { return };
        let own = own.address;
        let n = u8::try_from(self.dice.below(250)).unwrap_or(1);
        let client = IpAddr::V4(Ipv4Addr::new(192, 168, 1, n));
        let server = IpAddr::V4(Ipv4Addr::new(198, 51, 100, n));
        for (source, destination) in [(client, server), (server, own), (own, server)] {
            let is_udp = n.is_multiple_of(2);
            self.scene.kernel.flows.push(Flow { mark, source, destination, is_udp });
        }
    }
}
