//! Stands in for parts that are not in the tree yet; nothing here touches the kernel.
#![expect(missing_docs, clippy::unused_self, reason = "goes away with the parts it stands for")]

use rail_core::net::IfName;
use rail_core::state::{Key, Observed, ObservedFirewall, Op, OpError, Scope, Watch};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::io;

#[derive(Debug)]
pub struct RequestSocket;

impl RequestSocket {
    pub fn open() -> io::Result<Self> {
        Ok(Self)
    }
    pub fn observe(&mut self, _: Scope, _: &Watch) -> Result<Observed, OpError> {
        Ok(Observed::default())
    }
    pub fn apply(&mut self, _: &Key, _: &Op) -> Result<(), OpError> {
        Ok(())
    }
    pub fn set_link(&mut self, _: IfName, _: bool) -> Result<(), OpError> {
        Ok(())
    }
}

#[derive(Debug)]
pub struct Monitor(OwnedFd);

impl Monitor {
    pub fn open() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }
    pub fn drain(&mut self) -> Scope {
        Scope::NONE
    }
    pub fn watch(&mut self, _: &Watch) {}
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[derive(Debug)]
pub struct Nft;

impl Nft {
    pub fn open() -> io::Result<Self> {
        Ok(Self)
    }
    pub fn observe(&mut self) -> Result<Option<ObservedFirewall>, OpError> {
        Ok(None)
    }
    pub fn set_slots(&mut self, _: &[(u32, u32)], _: &[(u32, u32)]) -> Result<(), OpError> {
        Ok(())
    }
}

#[derive(Debug)]
pub struct Spawner(OwnedFd, bool);

impl Spawner {
    pub fn start() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?, false))
    }
    pub fn nft(&mut self, _: &str) -> io::Result<()> {
        self.1 = true;
        rustix::io::write(&self.0, &1u64.to_ne_bytes())?;
        Ok(())
    }
    pub fn finished(&mut self) -> Option<Result<(), OpError>> {
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.0, &mut count);
        std::mem::take(&mut self.1).then_some(Ok(()))
    }
}

impl AsFd for Spawner {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

pub fn purge(_: &rail_core::Purge) -> Result<u32, OpError> {
    Ok(0)
}
