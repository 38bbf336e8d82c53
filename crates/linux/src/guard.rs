//! The boot guard by hand: closed before there is a network, looked for, opened.
//!
//! Promises: closing needs no configuration, and never closes what a router of
//! ours has opened: where its state is in the kernel, traffic flows by it. Leaves
//! out the usual way to open it, which is the daemon's.

use crate::netlink::RequestSocket;
use crate::nft::Nft;
use crate::programs;
use rail_core::Watch;
use rail_core::state::firewall::{guard, has_ours, removal};
use rail_core::state::{NFT_GUARD, ObservedFirewall, PROTOCOL, Scope};
use std::io::Write;
use std::process::{Command, Stdio};

/// What became of closing.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Closing {
    /// Nothing is forwarded from now on, or was before.
    Closed,
    /// A router's state is in the kernel already, and stays open.
    Left,
}

/// Closes: nothing is forwarded until the daemon has verified its first state.
///
/// # Errors
/// What the kernel or `nft` refuse, as a sentence.
pub fn close() -> Result<Closing, String> {
    if is_closed()? {
        return Ok(Closing::Closed);
    }
    if has_router()? {
        return Ok(Closing::Left);
    }
    run(&guard()).map(|()| Closing::Closed)
}

/// Opens; true if it was closed.
///
/// # Errors
/// What the kernel or `nft` refuse, as a sentence.
pub fn open() -> Result<bool, String> {
    match find()? {
        Some(table) => run(&removal(NFT_GUARD, &table)).map(|()| true),
        None => Ok(false),
    }
}

/// True if nothing is forwarded because of the guard.
///
/// # Errors
/// The tables cannot be read, for example without rights.
pub fn is_closed() -> Result<bool, String> {
    Ok(find()?.is_some())
}

fn find() -> Result<Option<ObservedFirewall>, String> {
    let guard = nft()?.observe_guard().map_err(|e| format!("cannot read nftables: {e}"))?;
    Ok(guard.filter(has_ours))
}

/// True if a daemon has put its state into the kernel since the boot, and it is still there.
fn has_router() -> Result<bool, String> {
    let table = nft()?.observe().map_err(|e| format!("cannot read nftables: {e}"))?;
    let mut socket = RequestSocket::open().map_err(|e| format!("cannot open netlink: {e}"))?;
    let seen = socket.observe(Scope::RULES, &Watch::default());
    let seen = seen.map_err(|e| format!("cannot read the policy rules: {e}"))?;
    Ok(table.is_some_and(|table| has_ours(&table))
        || seen.rules.iter().any(|rule| rule.protocol == PROTOCOL))
}

fn nft() -> Result<Nft, String> {
    Nft::open().map_err(|e| format!("cannot open nftables: {e}"))
}

fn run(script: &str) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("cannot run nft: {e}");
    // starts: nft
    let mut command = Command::new(programs::nft().map_err(failed)?);
    command.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(script.as_bytes()).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("nft refused: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
