//! Closing sockets beside the loop: the kernel lets whoever closes a packet socket wait until no processor
//! looks at it any more, for tens of milliseconds on a busy machine (`synchronize_net`, packet(7)).

use rustix::fd::OwnedFd;
use std::sync::mpsc::{Sender, channel};
use std::thread;

/// A thread that closes what it is given; none before there is something to close.
#[derive(Debug, Default)]
pub(super) struct Closer {
    sockets: Option<Sender<OwnedFd>>,
}

impl Closer {
    /// Closes the socket soon; at once if there can be no thread.
    pub(super) fn close(&mut self, socket: OwnedFd) {
        let sockets = self.sockets.take().or_else(start);
        if let Some(sockets) = sockets
            && sockets.send(socket).is_ok()
        {
            self.sockets = Some(sockets);
        }
    }
}

/// The thread ends with its sender.
fn start() -> Option<Sender<OwnedFd>> {
    let (sender, sockets) = channel::<OwnedFd>();
    let close = move || sockets.into_iter().for_each(drop);
    let thread = thread::Builder::new().name("rail-close".into()).spawn(close);
    thread.ok().map(|_| sender)
}
