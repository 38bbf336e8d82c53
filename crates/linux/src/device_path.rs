//! Where the device of an interface is: the `ID_PATH` that udev makes from sysfs, made here in the
//! same way, for not every system has udev.
//!
//! Promises: the text of systemd's `path_id` for network devices on PCI, USB, platform, AMBA, ACPI,
//! Xen and CCW, one inside the other. Leaves out: devices that are nowhere (VLANs, bridges).

use rail_core::net::IfName;
use std::fs;
use std::path::Path;

/// The path of an interface's device below `root`.
pub fn of(root: &Path, ifname: IfName) -> Option<String> {
    let top = fs::canonicalize(root.join("sys/devices")).ok()?;
    let net = root.join("sys/class/net").join(ifname.as_str()).join("device");
    let device = fs::canonicalize(net).ok()?;
    let mut at = device.as_path();
    let mut parts: Vec<String> = Vec::new();
    while at != top && at.starts_with(&top) {
        let bus = subsystem(at).unwrap_or_default();
        let name = at.file_name()?.to_str()?;
        let part = match bus.as_str() {
            // `2-1.4:1.0` is port 1.4 of a bus whose number means nothing.
            "usb" => name.split_once('-').map(|(_, port)| format!("usb-0:{port}")),
            "pci" | "platform" | "amba" | "acpi" | "xen" | "ccw" | "ccwgroup" => {
                Some(format!("{bus}-{name}"))
            }
            _ => None,
        };
        parts.extend(part);
        at = at.parent()?;
        // Hubs and bridges on the way say nothing more.
        while !bus.is_empty() && at != top && subsystem(at).as_deref() == Some(bus.as_str()) {
            at = at.parent()?;
        }
    }
    parts.reverse();
    Some(parts.join("-")).filter(|path| !path.is_empty())
}

fn subsystem(device: &Path) -> Option<String> {
    let link = fs::read_link(device.join("subsystem")).ok()?;
    Some(link.file_name()?.to_str()?.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// Given the trees that sysfs has for a card behind a bridge, a virtual card, a USB stick behind
    /// hubs, a port of a system on a chip and a stick on such a one, then the paths are those of udev;
    /// a device that is nowhere has none.
    #[test]
    fn paths_are_those_of_udev() {
        let root = std::env::temp_dir().join(format!("rail-path-{}", std::process::id()));
        let cases = [
            ("pci0000:00/0000:00:1c.0@pci/0000:03:00.0@pci", Some("pci-0000:03:00.0")),
            ("pci0000:00/0000:00:03.0@pci/virtio2@virtio", Some("pci-0000:00:03.0")),
            (
                "pci0000:00/0000:00:14.0@pci/usb2@usb/2-1@usb/2-1.4@usb/2-1.4:1.0@usb",
                Some("pci-0000:00:14.0-usb-0:1.4:1.0"),
            ),
            (
                "platform/soc@platform/30be0000.ethernet@platform",
                Some("platform-30be0000.ethernet"),
            ),
            (
                "platform/scb@platform/fd500000.pcie@platform/pci0000:00/0000:00:00.0@pci/\
                 0000:01:00.0@pci/usb1@usb/1-1@usb/1-1:1.0@usb",
                Some("platform-fd500000.pcie-pci-0000:01:00.0-usb-0:1:1.0"),
            ),
            ("virtual/vlan", None),
        ];
        for (number, (tree, expected)) in cases.iter().enumerate() {
            let mut at = root.join("sys/devices");
            for part in tree.split('/') {
                let (name, bus) = part.split_once('@').unwrap_or((part, ""));
                at = at.join(name);
                fs::create_dir_all(&at).unwrap();
                if !bus.is_empty() && !at.join("subsystem").is_symlink() {
                    symlink(format!("/sys/bus/{bus}"), at.join("subsystem")).unwrap();
                }
            }
            let ifname: IfName = format!("wan{number}").parse().unwrap();
            let class = root.join("sys/class/net").join(ifname.as_str());
            fs::create_dir_all(&class).unwrap();
            symlink(&at, class.join("device")).unwrap();
            assert_eq!(of(&root, ifname).as_deref(), *expected, "{tree}");
        }
        assert_eq!(of(&root, "none0".parse().unwrap()), None);
        fs::remove_dir_all(&root).unwrap();
    }
}
