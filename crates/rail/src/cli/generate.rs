//! `rail generate firewall`: the rules of mode `external`, for those who load
//! them by other means.

use super::{complain, exit, loaded, say};
use clap::ValueEnum;
use rail_core::config::FirewallMode;
use rail_core::net::Family;
use rail_core::render::external;
use std::path::Path;
use std::process::ExitCode;

/// Who is to load the rules.
#[derive(Copy, Clone, Default, ValueEnum)]
pub(super) enum Format {
    /// One table for `nft -f`; loaded again it replaces itself
    #[default]
    Nft,
    /// IPv4, for `iptables-restore --noflush`
    Iptables,
    /// IPv6, for `ip6tables-restore --noflush`
    Ip6tables,
}

/// Prints the rules.
pub(super) fn firewall(path: &Path, state_dir: &Path, format: Format) -> ExitCode {
    let config = match loaded(path) {
        Ok((config, _)) => config,
        Err(code) => return code,
    };
    if config.firewall.mode != FirewallMode::External {
        complain(
            "rail: the daemon writes these rules itself; to load them by other means, set mode = \"external\" \
             in [firewall] first\n",
        );
        return exit::ERROR.into();
    }
    // The marks are those of the running daemon. Without its file they are those it will choose.
    let (saved, flaw) = rail_linux::file::load_saved(state_dir);
    if let Some(flaw) = flaw {
        let is_root = rustix::process::geteuid().is_root();
        let hint = if is_root { "" } else { "; run as root" };
        complain(&format!("rail: {flaw}{hint}: the marks of the rules are in this file\n"));
        return exit::ERROR.into();
    }
    let saved = saved.of_boot(rail_linux::clock::boot_id());
    // The rules have names as the kernel has them now.
    let links = match rail_linux::netlink::links(config.has_paths()) {
        Ok(links) => links,
        Err(e) => {
            complain(&format!("rail: cannot read the interfaces: {e}\n"));
            return exit::ERROR.into();
        }
    };
    let names = config.names(&links, &saved.devices);
    let config = config.with_names(&names);
    if let Some(missing) = config.missing(&links).first() {
        complain(&format!("rail: {missing} on this machine, and the rules need its name\n"));
        return exit::ERROR.into();
    }
    if let (Format::Iptables | Format::Ip6tables, Some(ifname)) =
        (format, external::wildcard(&config))
    {
        complain(&format!(
            "rail: iptables takes {ifname} for every interface whose name begins so; give it another name\n"
        ));
        return exit::ERROR.into();
    }
    let text = match format {
        Format::Nft => external::nft(&config, &saved),
        Format::Iptables => external::iptables(&config, &saved, Family::V4),
        Format::Ip6tables => external::iptables(&config, &saved, Family::V6),
    };
    say(&text);
    ExitCode::SUCCESS
}
