//! Faults, injected into the world and taken away again.

use crate::fault::Fault;
use crate::invariant::Happening;
use crate::net::Limiter;
use crate::rival;
use crate::scenario::prefix;
use crate::world::{Event, Heal, MS, SEC, World};
use rail_core::Input;
use rail_core::config::Tier;
use rail_core::state::{Neighbour, Scope};
use rail_core::time::Duration;

impl World {
    pub(crate) fn inject(&mut self, fault: Fault) {
        let line = self.dice.below(self.scene.lines.len());
        match fault {
            Fault::Carrier | Fault::AdminDown | Fault::Unplug | Fault::DropAddress => {
                self.inject_link(fault, line);
            }
            Fault::Silent | Fault::OneWay | Fault::Gateway => self.inject_death(fault, line),
            Fault::Loss | Fault::LightLoss | Fault::Latency => self.inject_quality(fault, line),
            Fault::Steps => self.step_trip(line, MOST_STEPS),
            Fault::Limiter => self.inject_limiter(line),
            Fault::TargetDead | Fault::TargetMissing => {
                let target = self.dice.below(self.scene.net.targets.len());
                self.note(format!("FAULT target {target} dies ({fault:?}, uplink {line})"));
                self.scene.net.note_death(self.scene.now);
                if fault == Fault::TargetDead {
                    self.scene.net.dead_target = Some(target);
                } else {
                    self.scene.net.lines[line].missing_target = Some(target);
                }
                self.scene.targets_changed();
                self.touch();
                self.heal_within(Heal::Targets, SEC, SEC * 20);
            }
            Fault::Rival => self.inject_rival(),
            Fault::Foreign => {
                let stopped = self.node.router.is_none();
                let scene = &mut self.scene;
                let (scope, text) =
                    rival::add_foreign(&mut scene.kernel, &scene.config, &mut self.dice, stopped);
                self.note(format!("RIVAL {text}"));
                self.kernel_changed(scope);
            }
            Fault::Crash => {
                if self.node.router.is_some() {
                    self.crash();
                    self.heal_within(Heal::Restart, MS * 50, SEC * 5);
                }
            }
            Fault::Pause => {
                if self.node.router.is_some() && !self.node.is_paused {
                    self.note("FAULT the daemon gets no time".into());
                    self.node.is_paused = true;
                    let wait = self.dice.between(MS, SEC * 3);
                    self.scene.excuses.lose(self.scene.now, wait);
                    self.after(wait, Event::Heal(Heal::Pause(self.node.life)));
                }
            }
            Fault::Refuse | Fault::Slow | Fault::Mute | Fault::Overrun | Fault::Delay => {
                self.inject_kernel(fault);
            }
            Fault::Reload => {
                self.note("reload".into());
                self.retier();
                self.extend();
                self.extend_last();
                let config = Box::new(self.scene.told());
                self.deliver(Input::Reload(config));
            }
        }
        self.scene.refresh();
    }

    /// In some worlds a reload changes how many uplinks share, and with it the number of buckets; but
    /// the last one that is usable goes on sharing.
    fn retier(&mut self) {
        let (Some(last), [others @ .., _]) =
            (self.scene.config.uplinks.last_mut(), self.scene.lines.as_slice())
        else {
            return;
        };
        let is_inbound = last.tier == Tier::Inbound;
        let is_needed = !is_inbound && !others.iter().any(|line| line.health.is_usable());
        let is_heard = self.node.router.is_some() && !self.node.is_paused;
        if !self.retiers || !is_heard || is_needed {
            return;
        }
        last.tier = if is_inbound { Tier::Number(1) } else { Tier::Inbound };
        let text = format!("FAULT {} is of {:?} now", last.name, last.tier);
        self.note(text);
        // From now on it is an alternative to others, or not.
        if let Some(last) = self.scene.lines.last_mut() {
            last.since = self.scene.now;
        }
        self.touch();
    }

    /// In some worlds each reload gives the first uplink one more address: the rules that lead every
    /// mark change, and nothing of any other uplink.
    fn extend(&mut self) {
        let is_heard = self.node.router.is_some() && !self.node.is_paused;
        let Some(first) =
            self.scene.config.uplinks.first_mut().filter(|_| self.extends && is_heard)
        else {
            return;
        };
        let further = prefix(&format!("100.64.1.{}/32", 10 + first.addresses.len()));
        if first.addresses.len() < MOST_FURTHER {
            first.addresses.push(further);
        }
        let text = format!("FAULT {} has {} more addresses", first.name, first.addresses.len());
        self.note(text);
        self.touch();
    }

    /// In some worlds each reload gives the last uplink, which stands by, one more address or exemption:
    /// its own rules change, and it stays the same uplink.
    fn extend_last(&mut self) {
        let is_heard = self.node.router.is_some() && !self.node.is_paused;
        let Some(last) =
            self.scene.config.uplinks.last_mut().filter(|_| self.extends_last && is_heard)
        else {
            return;
        };
        let (addresses, exemptions) = (last.addresses.len(), last.no_nat.len());
        if addresses + exemptions >= MOST_FURTHER {
            return;
        }
        if addresses > exemptions {
            last.no_nat.push(prefix(&format!("198.18.{exemptions}.0/24")));
        } else {
            last.addresses.push(prefix(&format!("100.64.9.{}/32", 10 + addresses)));
        }
        let text = format!(
            "FAULT {} has one more address or exemption: {addresses} {exemptions}",
            last.name
        );
        self.note(text);
        self.touch();
    }

    fn heal_within(&mut self, heal: Heal, low: Duration, high: Duration) {
        let wait = self.dice.between(low, high);
        self.after(wait, Event::Heal(heal));
    }

    fn inject_link(&mut self, fault: Fault, line: usize) {
        if fault == Fault::DropAddress && self.scene.kept.contains(&line) {
            return self.unkeep(line);
        }
        if fault == Fault::DropAddress && self.scene.is_leased(line) && self.trouble_street() {
            return;
        }
        let uplink = &self.scene.config.uplinks[line];
        let (name, own, address) = (uplink.port(), uplink.ifname, uplink.address());
        // Of a link of ours the port may go, or somebody deletes it.
        let is_deleted = fault == Fault::Unplug && name != own && self.dice.permille(500);
        self.note(format!("FAULT {fault:?} {name}"));
        if matches!(fault, Fault::AdminDown | Fault::Unplug) {
            self.scene.excuses.taken(self.scene.now);
        }
        let kernel = &mut self.scene.kernel;
        let (scope, heal) = match fault {
            Fault::Carrier => (kernel.set_carrier(name, false), Heal::Carrier(name)),
            Fault::AdminDown => (kernel.set_up(name, false), Heal::Up(name)),
            Fault::Unplug if is_deleted => {
                self.scene.excuses.edited(self.scene.now);
                (kernel.remove_link(own), Heal::Uplink(line))
            }
            Fault::Unplug => (kernel.remove_link(name), Heal::Plug(name)),
            _ => {
                self.scene.excuses.edited(self.scene.now);
                let scope = address.map_or(Scope::ADDRESSES, |gone| kernel.del_address(own, gone));
                (scope, Heal::Uplink(line))
            }
        };
        self.kernel_changed(scope);
        let (low, high) = self.dice.pick(&[(MS, MS * 200), (MS * 200, SEC * 2), (SEC, SEC * 30)]);
        // What comes and goes unseen looks like somebody's edit; and the first two are one.
        let unseen = high < SEC * 3 || self.node.is_paused || self.deaf_permille > 0;
        let is_edit = fault != Fault::Carrier && (fault != Fault::Unplug || unseen || is_deleted);
        self.scene.had_rival |= is_edit;
        self.heal_within(heal, low, high);
    }

    fn inject_death(&mut self, fault: Fault, line: usize) {
        self.note(format!("FAULT {fault:?} uplink {line}"));
        let out = self.dice.permille(500);
        let condition = &mut self.scene.net.lines[line];
        match fault {
            Fault::Silent => condition.silent = true,
            Fault::OneWay if out => condition.dead_out = true,
            Fault::OneWay => condition.dead_in = true,
            _ => condition.gateway_dead = true,
        }
        self.begin_counting(line, false);
        if fault == Fault::Gateway {
            self.heal_within(Heal::NeighbourFails(line), MS * 200, SEC * 3);
        }
        self.touch();
        let (low, high) = self.dice.pick(&[(MS * 100, SEC), (SEC, SEC * 5), (SEC * 5, SEC * 40)]);
        self.heal_within(Heal::Uplink(line), low, high);
    }

    fn inject_quality(&mut self, fault: Fault, line: usize) {
        let loss = if fault == Fault::Loss { self.dice.pick(&[10, 30, 80]) } else { 3 };
        let rtt = MS * self.dice.pick(&[100, 300, 600]);
        let now = self.scene.now;
        let unsteady = self.scene.step_bound(line, rtt);
        let condition = &mut self.scene.net.lines[line];
        if fault == Fault::Latency {
            condition.rtt = rtt;
            condition.unsteady_until = now + unsteady;
        } else {
            condition.loss_pct = loss;
        }
        self.note(format!("FAULT {fault:?} uplink {line}: loss {loss} % or rtt {rtt:?}"));
        self.touch();
        self.heal_within(Heal::Uplink(line), SEC, SEC * 40);
    }

    /// The round trip is long now, or short again; so many steps are left.
    fn step_trip(&mut self, line: usize, left: u32) {
        let (long, now) = (MS * self.dice.pick(&[150, 400, 900]), self.scene.now);
        let unsteady = self.scene.step_bound(line, self.scene.net.lines[line].rtt.max(long));
        let condition = &mut self.scene.net.lines[line];
        let is_long = condition.rtt != condition.usual_rtt;
        // The last one, or somebody healed it.
        let is_over = left == 0 || (left < MOST_STEPS && left.is_multiple_of(2)) != is_long;
        if is_over && !is_long {
            return;
        }
        condition.unsteady_until = now + unsteady;
        condition.rtt = if is_long { condition.usual_rtt } else { long };
        let text = format!("FAULT Steps uplink {line}: rtt {:?}", condition.rtt);
        self.note(text);
        self.touch();
        if left > 0 {
            self.heal_within(Heal::Step(line, left - 1), MS * 500, SEC * 6);
        }
    }

    fn inject_limiter(&mut self, line: usize) {
        let spacing = MS * self.dice.pick(&[100, 125, 250, 1000]);
        let limiter = Limiter::new(spacing, self.dice.pick(&[1, 5]), self.dice.permille(500));
        self.note(format!("FAULT {limiter:?} uplink {line}"));
        self.scene.net.lines[line].limiter = Some(limiter);
        self.touch();
        self.heal_within(Heal::Uplink(line), SEC, SEC * 20);
    }

    fn inject_rival(&mut self) {
        let scene = &mut self.scene;
        let damage = rival::damage(&mut scene.kernel, &scene.config, &mut self.dice);
        if let Some((scope, text)) = damage {
            scene.had_rival = true;
            scene.is_damaged = true;
            scene.excuses.edited(scene.now);
            self.note(format!("RIVAL {text}"));
            self.kernel_changed(scope);
        }
    }

    fn inject_kernel(&mut self, fault: Fault) {
        self.note(format!("FAULT {fault:?}"));
        let heal = match fault {
            Fault::Refuse => {
                self.trouble.refuse_permille = self.dice.pick(&[50, 300, 1000]);
                Heal::Refusals
            }
            Fault::Slow => {
                self.trouble.slow_permille = self.dice.pick(&[50, 500]);
                Heal::Slowness
            }
            Fault::Mute => {
                self.deaf_permille = self.dice.pick(&[300, 1000]);
                Heal::Deafness
            }
            Fault::Overrun => {
                self.overrun_permille = 700;
                Heal::Deafness
            }
            _ => {
                self.delay = MS * self.dice.pick(&[50, 500, 2000]);
                Heal::Delays
            }
        };
        self.heal_within(heal, MS * 500, SEC * 10);
    }

    /// Something changed and no notification says so.
    fn touch(&mut self) {
        self.scene.excuses.disturbed = self.scene.excuses.disturbed.max(self.scene.now);
        self.scene.refresh();
    }

    pub(crate) fn heal(&mut self, heal: Heal) {
        if !matches!(heal, Heal::Restart) {
            self.touch();
        }
        match heal {
            Heal::Carrier(name) => {
                self.note(format!("heals: carrier of {name}"));
                let scope = self.scene.kernel.set_carrier(name, true);
                self.kernel_changed(scope);
            }
            Heal::Up(name) => {
                self.note(format!("heals: {name} is set up"));
                let scope = self.scene.kernel.set_up(name, true);
                self.kernel_changed(scope);
                self.give_all();
            }
            Heal::Plug(name) => {
                if !self.scene.kernel.links.contains_key(&name) {
                    self.note(format!("heals: {name} is plugged in"));
                    let scope = self.scene.kernel.add_link(name, true);
                    self.kernel_changed(scope);
                    self.give_all();
                }
            }
            Heal::Uplink(line) => self.heal_line(line),
            Heal::Step(line, left) if self.mix.is_none() && left > 0 => self.step_trip(line, 0),
            Heal::Step(line, left) => self.step_trip(line, left),
            Heal::NeighbourFails(line) => self.fail_neighbour(line),
            Heal::Targets => {
                self.note("heals: targets".into());
                self.scene.net.dead_target = None;
                for line in &mut self.scene.net.lines {
                    line.missing_target = None;
                }
                self.scene.targets_changed();
            }
            Heal::Refusals => self.trouble.refuse_permille = 0,
            Heal::Slowness => self.trouble.slow_permille = 0,
            Heal::Deafness => {
                self.deaf_permille = 0;
                self.overrun_permille = 0;
            }
            Heal::Delays => self.delay = Duration::ZERO,
            Heal::Pause(life) => self.resume(life),
            Heal::Place => {
                if rival::vacate(&mut self.scene.kernel, &self.scene.config) {
                    self.note("heals: the place of our route is free".into());
                    self.scene.excuses.edited(self.scene.now);
                    self.kernel_changed(Scope::ROUTES);
                }
            }
            Heal::Given(line) => {
                if !self.scene.is_given(line) {
                    self.give(line);
                }
            }
            Heal::Servers => self.heal_street(),
            Heal::Restart => {
                if self.node.router.is_none() && !self.is_done() {
                    self.start();
                }
            }
        }
        self.scene.refresh();
    }

    fn heal_line(&mut self, line: usize) {
        self.note(format!("heals: uplink {line}"));
        let now = self.scene.now;
        let unsteady = self.scene.step_bound(line, self.scene.net.lines[line].rtt);
        let condition = &mut self.scene.net.lines[line];
        if condition.rtt != condition.usual_rtt {
            condition.unsteady_until = now + unsteady;
        }
        condition.silent = false;
        condition.dead_out = false;
        condition.dead_in = false;
        condition.gateway_dead = false;
        condition.loss_pct = 0;
        condition.limiter = None;
        condition.rtt = condition.usual_rtt;
    }

    /// The kernel gave up asking a gateway that does not answer.
    fn fail_neighbour(&mut self, line: usize) {
        let uplink = &self.scene.config.uplinks[line];
        let Some(gateway) = uplink.gateway() else { return };
        let key = (uplink.ifname, gateway);
        let link = self.scene.kernel.links.get(&uplink.ifname);
        if self.scene.net.lines[line].gateway_dead && link.is_some_and(|l| l.up && l.carrier) {
            self.note(format!("the gateway of uplink {line} does not answer ARP"));
            self.scene.kernel.neighbours.insert(key, Neighbour::Failed);
            self.kernel_changed(Scope::NEIGHBOURS);
        }
    }

    fn resume(&mut self, life: u64) {
        if life != self.node.life || !self.node.is_paused {
            return;
        }
        self.note("the daemon gets time again".into());
        self.node.is_paused = false;
        let now = self.scene.now;
        self.scene.excuses.resumed = now;
        let mut out = Vec::new();
        for input in std::mem::take(&mut self.node.inbox) {
            if let Some(router) = &mut self.node.router {
                router.handle(now, input, &mut out);
            }
        }
        self.perform_and_wake(out);
    }

    /// Takes every fault away, and injects no more.
    pub fn end_faults(&mut self) {
        self.note("ALL FAULTS END".into());
        self.mix = crate::fault::Mix::none();
        self.trouble.hang_permille = 0;
        for heal in [Heal::Refusals, Heal::Slowness, Heal::Deafness, Heal::Delays, Heal::Targets] {
            self.heal(heal);
        }
        for line in 0..self.scene.lines.len() {
            self.heal(Heal::Uplink(line));
            let name = self.scene.config.uplinks[line].port();
            let is_plugged = self.scene.kernel.links.contains_key(&name);
            self.heal(Heal::Plug(name));
            self.heal(Heal::Carrier(name));
            if is_plugged {
                self.heal(Heal::Up(name));
            }
        }
        self.give_all();
        self.heal(Heal::Servers);
        self.heal(Heal::Pause(self.node.life));
        self.heal(Heal::Place);
        self.heal(Heal::Restart);
        self.judge(&Happening::FaultsEnd);
    }
}

/// So many steps a round trip makes; the last one ends it.
const MOST_STEPS: u32 = 7;
/// So many addresses an uplink gets at most.
const MOST_FURTHER: usize = 40;
