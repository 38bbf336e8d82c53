//! Made-up trees of `/sys` and `/proc`, and a real device.

use super::*;
use crate::testing::{in_new_netns, ip};
use rail_core::queues::Carries;
use std::os::unix::fs::symlink;

const MAC: Mac = Mac([0x02, 0, 0, 0, 0, 1]);

/// A root of one's own, taken away at the end.
struct Tree(PathBuf);

impl Tree {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("rail-queues-{name}-{}", std::process::id()));
        let tree = Self(root);
        tree.file("sys/devices/system/cpu/online", "0-3\n");
        tree.file("proc/self/uid_map", "         0          0 4294967295\n");
        tree
    }

    fn file(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A port with index 7 on this device, with so many queues.
    fn port(&self, ifname: &str, device: &str, [receive, transmit]: [usize; 2]) {
        let class = format!("sys/class/net/{ifname}");
        self.file(&format!("{class}/ifindex"), "7\n");
        self.file(&format!("{class}/address"), &format!("{MAC}\n"));
        for number in 0..receive {
            self.file(&format!("{class}/queues/rx-{number}/rps_cpus"), "00000000,00000000\n");
        }
        for number in 0..transmit {
            fs::create_dir_all(self.0.join(format!("{class}/queues/tx-{number}"))).unwrap();
            // The kernel refuses the reading where there is one queue.
            if transmit > 1 {
                self.file(&format!("{class}/queues/tx-{number}/xps_cpus"), "f\n");
            }
        }
        let device = self.0.join("sys/devices").join(device);
        fs::create_dir_all(&device).unwrap();
        symlink(device, self.0.join(class).join("device")).unwrap();
    }

    /// An interrupt, who uses it, and where it goes.
    fn irq(&self, number: u32, action: &str, effective: &str) {
        fs::create_dir_all(self.0.join(format!("proc/irq/{number}/{action}"))).unwrap();
        self.file(&format!("proc/irq/{number}/smp_affinity"), "f\n");
        if !effective.is_empty() {
            self.file(&format!("proc/irq/{number}/effective_affinity"), effective);
        }
    }

    fn read(&self, ifname: &str, index: u32, mac: Mac) -> Topology {
        read(&self.0, &[WatchedPort { ifname: name(ifname), index, mac, up: true }])
    }

    /// Where the interrupts of the receive queues go.
    fn cpus(&self, ifname: &str) -> Vec<Option<u16>> {
        let topology = self.read(ifname, 7, MAC);
        topology.ports[&name(ifname)].receive.iter().map(|queue| queue.cpu).collect()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

/// Given a PCI card with a vector for each queue, one for both ways, and one for its link, when it is
/// read, then each queue has the CPU that the kernel says, whatever was asked for.
#[test]
fn each_queue_of_a_card_has_its_interrupt() {
    let tree = Tree::new("pci");
    let device = "pci0000:00/0000:00:1c.0/0000:03:00.0";
    tree.port("enp3s0", device, [2, 2]);
    for (number, action, effective) in [
        (24, "enp3s0", "1"),
        (25, "enp3s0-TxRx-0", "4"),
        (26, "enp3s0-TxRx-1", "00000000,00000008"),
    ] {
        tree.file(&format!("sys/devices/{device}/msi_irqs/{number}"), "msix\n");
        tree.irq(number, action, effective);
    }
    let topology = tree.read("enp3s0", 7, MAC);
    assert_eq!(topology.cpus.iter().map(|cpu| cpu.number).collect::<Vec<_>>(), [0, 1, 2, 3]);
    let port = &topology.ports[&name("enp3s0")];
    let receive = |cpu| ReceiveQueue { mask: Some("0".into()), cpu: Some(cpu) };
    assert_eq!(port.receive, [receive(2), receive(3)]);
    assert_eq!(port.transmit, [Some("f".into()), Some("f".into())]);
    assert_eq!(port.refused, None);
    let [first, second] = [("rx-0/rps", "b"), ("rx-1/rps", "7")]
        .map(|(queue, mask)| (format!("class/net/enp3s0/queues/{queue}_cpus"), mask.to_owned()));
    assert_eq!(topology.masks([(name("enp3s0"), Carries::Ip)])[..2], [first, second]);
}

/// Given virtio, whose vectors belong to the card above it, a USB stick with that of its controller, a
/// port of a system on a chip that is known by name alone, and one that nobody can tell, then each
/// queue has its CPU, or none; the one transmit queue of a stick has no mask.
#[test]
fn interrupts_are_found_elsewhere() {
    let tree = Tree::new("elsewhere");
    let card = "pci0000:00/0000:00:03.0";
    tree.port("ens3", &format!("{card}/virtio1"), [2, 2]);
    for (number, action, effective) in [
        (30, "virtio1-config", "1"),
        (31, "virtio1-input.0", "8"),
        (32, "virtio1-output.0", "1"),
        (33, "virtio1-input.1", "2"),
        (34, "virtio1-output.1", "1"),
    ] {
        tree.file(&format!("sys/devices/{card}/msi_irqs/{number}"), "msix\n");
        tree.irq(number, action, effective);
    }
    assert_eq!(tree.cpus("ens3"), [Some(3), Some(1)]);
    let controller = "pci0000:00/0000:00:14.0";
    tree.port("usb0", &format!("{controller}/usb1/1-1/1-1:1.0"), [1, 1]);
    tree.file(&format!("sys/devices/{controller}/irq"), "16\n");
    tree.irq(16, "xhci_hcd", "4");
    assert_eq!(tree.cpus("usb0"), [Some(2)]);
    assert_eq!(tree.read("usb0", 7, MAC).ports[&name("usb0")].transmit, [None]);
    // No effective affinity: the first of those that were asked for.
    tree.port("eth1", "platform/soc/fd580000.ethernet", [1, 5]);
    tree.irq(39, "eth1", "");
    tree.irq(40, "eth10", "8");
    assert_eq!(tree.cpus("eth1"), [Some(0)]);
    tree.port("eth2", "platform/soc/fd590000.ethernet", [1, 1]);
    assert_eq!(tree.cpus("eth2"), [None]);
}

/// Given a device of another namespace under the same name, one that stands on another, one that is
/// nowhere, and one that is gone, then none is believed or written.
#[test]
fn other_devices_are_left_alone() {
    let tree = Tree::new("others");
    tree.port("wan1", "pci0000:00/0000:00:01.0", [1, 1]);
    let is_known = |ifname, index, mac| !tree.read(ifname, index, mac).ports.is_empty();
    assert!(is_known("wan1", 7, MAC));
    let other = Mac([2, 0, 0, 0, 0, 2]);
    assert!(!is_known("wan1", 8, MAC) && !is_known("wan1", 7, other) && !is_known("gone0", 7, MAC));
    let place = Place { ifname: name("wan1"), side: Side::Receive, number: 0 };
    let file = tree.0.join("sys").join(place.path());
    for (index, mac) in [(8, MAC), (7, other)] {
        let refused = write(&tree.0, place, (index, mac), "e").unwrap_err();
        assert_eq!(refused.errno, libc::ENODEV, "{refused}");
    }
    assert_eq!(write(&tree.0, place, (7, MAC), "e\nf").unwrap_err().errno, libc::EINVAL);
    assert_eq!(fs::read_to_string(&file).unwrap(), "00000000,00000000\n");
    write(&tree.0, place, (7, MAC), "e").unwrap();
    // An ordinary file keeps the rest of what stood there.
    assert!(fs::read_to_string(&file).unwrap().starts_with("e\n"));
    symlink("../wan1", tree.0.join("sys/class/net/wan1/lower_wan0")).unwrap();
    assert!(!is_known("wan1", 7, MAC));
    tree.port("br0", "virtual/net", [1, 1]);
    fs::remove_file(tree.0.join("sys/class/net/br0/device")).unwrap();
    assert!(!is_known("br0", 7, MAC));
}

/// Given a container whose users are not those of the machine, then its ports are shown, and why they
/// are left alone; a CPU that is slower than others is.
#[test]
fn what_cannot_be_set_is_shown() {
    let tree = Tree::new("container");
    tree.port("wan1", "pci0000:00/0000:00:01.0", [1, 1]);
    tree.file("proc/self/uid_map", "0 100000 65536\n");
    tree.file("sys/devices/system/cpu/cpu2/cpu_capacity", "485\n");
    let topology = tree.read("wan1", 7, MAC);
    assert_eq!(
        topology.cpus.iter().map(|cpu| cpu.capacity).collect::<Vec<_>>(),
        [1024, 1024, 485, 1024]
    );
    assert!(topology.ports[&name("wan1")].refused.as_ref().unwrap().contains("container"));
    assert!(topology.masks([(name("wan1"), Carries::Ip)]).is_empty());
    for (text, expected) in
        [("0\n", vec![0]), ("0-2,5", vec![0, 1, 2, 5]), ("", vec![]), ("x-1,3", vec![3])]
    {
        assert_eq!(list(text), expected, "{text:?}");
    }
}

/// Given a device with several queues on this kernel, and `/sys` of its namespace, when masks are
/// written, then they are read back the same; one with a CPU that cannot be is refused and changes nothing.
#[test]
fn the_kernel_takes_masks_and_gives_them_back() {
    in_new_netns(|| {
        ip("link add wan1 numrxqueues 4 numtxqueues 4 type veth peer name far1");
        let tree = Tree::new("kernel");
        let sys = own_sys(&tree.0);
        let directory = sys.0.join("sys/class/net/wan1");
        let read = |file: &str| fs::read_to_string(directory.join(file)).unwrap();
        let index = read("ifindex").trim().parse().unwrap();
        let digits: Vec<u8> = read("address")
            .trim()
            .split(':')
            .map(|byte| u8::from_str_radix(byte, 16).unwrap())
            .collect();
        let device = (index, Mac(digits.try_into().unwrap()));
        assert!(is_device(&directory, device.0, device.1));
        for side in [Side::Receive, Side::Transmit] {
            for number in 0..4 {
                let place = Place { ifname: name("wan1"), side, number };
                let now = || mask(&sys.0.join("sys").join(place.path()));
                for wanted in ["1", "0", "1"] {
                    write(&sys.0, place, device, wanted).unwrap();
                    assert_eq!(now().as_deref(), Some(wanted), "{place:?}");
                }
                let beyond = format!("1{}", ",00000000".repeat(256));
                assert_ne!(write(&sys.0, place, device, &beyond).unwrap_err().errno, 0);
                assert_eq!(now().as_deref(), Some("1"));
            }
        }
        // It is no physical port.
        let port = WatchedPort { ifname: name("wan1"), index: device.0, mac: device.1, up: false };
        assert!(super::read(&sys.0, &[port]).ports.is_empty());
    });
}

/// `/sys` of this thread's network namespace, below a folder that goes at the end.
struct Mounted(PathBuf);

#[expect(unsafe_code, reason = "rustix declares unshare unsafe because of CLONE_FILES")]
fn own_sys(root: &Path) -> Mounted {
    use rustix::mount::{MountFlags, MountPropagationFlags};
    // SAFETY: only the mounts of this thread change; the file table stays shared.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }.unwrap();
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).unwrap();
    let at = root.join("own/sys");
    fs::create_dir_all(&at).unwrap();
    rustix::mount::mount("sysfs", &at, "sysfs", MountFlags::empty(), None).unwrap();
    Mounted(root.join("own"))
}

impl Drop for Mounted {
    fn drop(&mut self) {
        rustix::mount::unmount(self.0.join("sys"), rustix::mount::UnmountFlags::DETACH).unwrap();
    }
}

/// Given CPUs that are kept free of the kernel's work, then none of them is offered: the kernel would take them out of
/// a mask.
#[test]
fn cpus_that_are_kept_apart_are_left_out() {
    let tree = Tree::new("apart");
    tree.file("sys/devices/system/cpu/isolated", "1\n");
    tree.file("sys/devices/system/cpu/nohz_full", "3\n");
    let numbers = |tree: &Tree| -> Vec<u16> {
        tree.read("eth0", 7, MAC).cpus.iter().map(|cpu| cpu.number).collect()
    };
    assert_eq!(numbers(&tree), [0, 2]);
    tree.file("sys/devices/system/cpu/nohz_full", "(null)\n");
    assert_eq!(numbers(&tree), [0, 2, 3]);
}
