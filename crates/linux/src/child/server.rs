//! The supervisor's side: one thread, one loop, children.
//!
//! Promises: it carries out the last order and no older one; what it has to report waits for the daemon,
//! in bounded memory: what children say is dropped first. It leaves the children alone when it ends.

use super::message::{Order, Report};
use super::output::Line;
use super::place::Place;
use super::record;
use super::resolv::{RESOLV_CONF, Resolv};
use super::slot::{Site, Slot};
use crate::clock;
use crate::process::{MESSAGE, block_signals, mind_signals, take_socket};
use rail_core::{ChildEvent, ChildId};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, recvmsg, send};
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, IoSliceMut, Read, Seek};
use std::mem::MaybeUninit;
use std::time::Instant;

/// Serves orders on descriptor 3 until the other end is closed, and then ends this process; the children
/// live on. To be called by a `main` whose first argument is `--supervisor`, before anything else.
pub fn supervisor_main() -> ! {
    block_signals();
    mind_signals();
    let Some(socket) = take_socket() else { std::process::exit(2) };
    let mut supervisor = Supervisor {
        socket,
        site: None,
        resolv: Resolv::new(RESOLV_CONF.into()),
        slots: BTreeMap::new(),
        number: 0,
        told: 0,
        reports: VecDeque::new(),
    };
    while supervisor.pass().is_ok() {}
    std::process::exit(0)
}

struct Supervisor {
    socket: OwnedFd,
    /// Where children live; `None` before the first order.
    site: Option<Site>,
    /// Whom the system itself asks for names.
    resolv: Resolv,
    slots: BTreeMap<String, Slot>,
    /// The order that is carried out, and the last that was told to be.
    number: u64,
    told: u64,
    reports: VecDeque<Vec<u8>>,
}

impl Supervisor {
    /// Waits for something and deals with it. An error ends the supervisor.
    fn pass(&mut self) -> io::Result<()> {
        let ended = self.wait()?;
        self.read_all();
        for name in ended {
            self.end(&name);
        }
        let now = Instant::now();
        for slot in self.slots.values_mut() {
            slot.kill_if_due(now);
        }
        self.act(now, |slot| slot.ask_at().is_some_and(|at| at <= now));
        self.receive()?;
        self.lead_questions(now);
        if self.told != self.number && self.slots.values().all(Slot::is_settled) {
            self.told = self.number;
            self.report(&Report::CarriedOut(self.number));
        }
        self.flush()
    }

    /// The names of those that have ended.
    fn wait(&self) -> io::Result<Vec<String>> {
        let mut wanted = PollFlags::IN;
        wanted.set(PollFlags::OUT, !self.reports.is_empty());
        let now = Instant::now();
        let running =
            || self.slots.values().filter_map(|slot| Some((slot, slot.process.as_ref()?)));
        let mut fds = vec![PollFd::new(&self.socket, wanted)];
        fds.extend(running().map(|(_, process)| PollFd::new(&process.end, PollFlags::IN)));
        let outputs = running().filter_map(|(_, process)| process.output.as_ref());
        let outputs = outputs.filter(|output| output.resumes(now).is_none());
        fds.extend(outputs.map(|output| PollFd::from_borrowed_fd(output.as_fd(), PollFlags::IN)));
        let slots = self.slots.values().filter_map(|slot| slot.deadline(now));
        let first = slots.chain(self.resolv.deadline()).min();
        let timeout = first.map(|at| at.saturating_duration_since(now));
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let ends = running().zip(fds.iter().skip(1));
        let ended = ends.filter(|(_, fd)| !fd.revents().is_empty());
        Ok(ended.map(|((slot, _), _)| slot.name.clone()).collect())
    }

    fn read_all(&mut self) {
        let now = Instant::now();
        let read = |slot: &mut Slot| (slot.name.clone(), slot.read(now));
        let said: Vec<(String, Vec<Line>)> = self.slots.values_mut().map(read).collect();
        for (name, lines) in said {
            for (line, missed) in lines {
                if self.reports.len() < MOST_REPORTS {
                    self.happened(&name, ChildEvent::Said { line, missed });
                }
            }
        }
    }

    /// The system asks a child that is to answer it, as long as that runs.
    fn lead_questions(&mut self, now: Instant) {
        if self.site.is_none() {
            return;
        }
        let asked = self.slots.values().find(|slot| slot.answers()).map(|slot| slot.name.clone());
        let said = self.resolv.settle(now, asked.is_some());
        if let (Some(name), Some(why)) = (asked, said) {
            self.happened(&name, ChildEvent::Hindered { why });
        }
    }

    fn end(&mut self, name: &str) {
        self.resolv.forget_told();
        let (Some(site), Some(slot)) = (&self.site, self.slots.get_mut(name)) else { return };
        let ended = slot.ended(site);
        let lacks = ended.as_ref().map_or_else(Vec::new, |ended| slot.lacks(ended));
        let next = slot.act(site, Instant::now());
        let lacks = lacks.into_iter().map(|line| ChildEvent::Said { line, missed: 0 });
        for event in lacks.chain(ended).chain(next) {
            self.happened(name, event);
        }
    }

    /// Reports, if the owner is known: what an earlier version ran may have none in this one.
    fn happened(&mut self, name: &str, event: ChildEvent) {
        if let Some(id) = ChildId::named(name) {
            self.report(&Report::Child(id, event));
        }
    }

    fn report(&mut self, report: &Report) {
        // Our own types can be written.
        self.reports.extend(serde_json::to_vec(report));
    }

    fn flush(&mut self) -> io::Result<()> {
        while let Some(message) = self.reports.front() {
            match send(&self.socket, message, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(_) => drop(self.reports.pop_front()),
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    /// Takes the orders that have arrived; the last one counts.
    fn receive(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; MESSAGE];
        let mut last = None;
        loop {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
            let mut parts = [IoSliceMut::new(&mut buffer)];
            let length = match recvmsg(&self.socket, &mut parts, &mut control, flags) {
                Ok(received) if received.bytes == 0 => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Ok(received) => received.bytes,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => continue,
                Err(e) => return Err(e.into()),
            };
            let file = control.drain().find_map(|message| match message {
                RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
                _ => None,
            });
            let number = buffer.get(..length).and_then(|bytes| bytes.try_into().ok());
            if let (Some(number), Some(file)) = (number.map(u64::from_le_bytes), file) {
                last = Some((number, file));
            }
        }
        if let Some((number, file)) = last {
            let mut text = Vec::new();
            let mut file = File::from(file);
            file.rewind()?;
            file.read_to_end(&mut text)?;
            self.take(number, serde_json::from_slice(&text)?);
        }
        Ok(())
    }

    fn take(&mut self, number: u64, order: Order) {
        self.number = number;
        self.resolv.forget_told();
        if self.site.is_none() {
            match Place::open(&order.runtime, &order.state) {
                Ok(place) => self.begin(Site { place, boot: clock::boot_id() }),
                Err(e) => {
                    for child in &order.children {
                        let exit = rail_core::Exit::NotStarted(e.to_string());
                        let event = ChildEvent::Ended { exit, was_asked: false };
                        self.report(&Report::Child(child.id, event));
                    }
                    return;
                }
            }
        }
        for slot in self.slots.values_mut() {
            slot.wanted = None;
        }
        let Some(Site { place, .. }) = &self.site else { return };
        for child in order.children {
            let name = child.id.name();
            let slot = self.slots.entry(name.clone()).or_insert_with(|| Slot::new(name, place));
            slot.wanted = Some(child);
        }
        self.act(Instant::now(), |_| true);
    }

    /// Has these do what is left to do.
    fn act(&mut self, now: Instant, is_due: impl Fn(&Slot) -> bool) {
        let Some(site) = &self.site else { return };
        let due = self.slots.values_mut().filter(|slot| is_due(slot));
        let events: Vec<(String, Vec<ChildEvent>)> =
            due.map(|slot| (slot.name.clone(), slot.act(site, now))).collect();
        for (name, events) in events {
            events.into_iter().for_each(|event| self.happened(&name, event));
        }
    }

    /// Takes over what an earlier supervisor left.
    fn begin(&mut self, site: Site) {
        for record in record::load(&site.place, &site.boot) {
            let name = record.name.clone();
            let mut slot = Slot::new(name.clone(), &site.place);
            if let Some(event) = slot.adopt(&site, record) {
                self.slots.insert(name.clone(), slot);
                self.happened(&name, event);
            }
        }
        self.site = Some(site);
    }
}

/// So many wait for the daemon before what children say is dropped.
const MOST_REPORTS: usize = 256;
