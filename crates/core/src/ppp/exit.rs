//! What the end of pppd means: its code and its last words to a cause, and the cause to what people are told
//! and how soon it is dialled again.
//!
//! The code alone tells little: pppd ends with 16 for a peer that hangs up, one that is silent and a cable
//! that is out, with 8 for whatever a connection could not be made for, and with 2 for a device that is not
//! there as for an option that it does not know. So what it said last decides within a code. One that an
//! earlier process had started ends without a code.

use crate::io::Exit;
use crate::status::SECRET_FILE;
use alloc::format;
use alloc::string::String;

/// Why it ended.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Cause {
    /// Somebody told it to end.
    Stopped,
    /// The other end ended the connection, or the line did.
    HungUp,
    /// The other end was silent.
    Silent,
    /// No access concentrator answered.
    NoConcentrator,
    /// The access concentrator gave no session.
    SessionRefused,
    /// The modem did not answer.
    NoModem,
    /// The modem could not connect.
    NoConnection,
    /// User or password are wrong.
    Credentials,
    /// A credential could not be read.
    Unreadable,
    /// Both ends found no address or no protocol.
    NoProtocol,
    /// The device is not there.
    NoDevice,
    /// Another program uses the device.
    Busy,
    /// The name of the interface is taken.
    NameTaken,
    /// The plugin for PPPoE is not there.
    NoPlugin,
    /// An option was not taken.
    Options,
    /// The kernel has no PPP.
    NoKernel,
    /// pppd is not installed.
    NotInstalled,
    /// It was not allowed to do its work.
    NotAllowed,
    /// The line leads back to us.
    Loop,
    /// No address came in time.
    TooSlow,
    /// The checks found the line dead for long.
    Dead,
    /// Its address was gone for long.
    NoAddress,
    /// An address that was given is one of the inside, or of no host.
    Inside,
    /// A signal ended it.
    Killed,
    /// Something else.
    Other,
}

/// How soon it is dialled again.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Pace {
    /// Soon: the line may be back.
    Line,
    /// A device that is plugged in: steadily.
    Device,
    /// Slowly: somebody has to do something, and a provider may lock an account that is tried often.
    Person,
}

impl Cause {
    /// By the code and the last words, the newest last.
    pub(crate) fn of<'a>(
        exit: &Exit,
        words: impl DoubleEndedIterator<Item = &'a str> + Clone,
    ) -> Self {
        let words = words.filter(|line| !is_aside(line));
        let said =
            |all: &[&str]| words.clone().any(|line| all.iter().any(|word| line.contains(word)));
        let by_words = KNOWN.iter().find(|(_, all)| said(all)).map(|(cause, _)| *cause);
        let of_code = match exit {
            Exit::Code(5) => return Self::Stopped,
            Exit::NotStarted(why) => {
                let is_secret = why.contains(SECRET_FILE);
                return if is_secret { Self::Unreadable } else { Self::NotInstalled };
            }
            Exit::Signal(_) => return Self::Killed,
            Exit::Code(19 | 11) => return Self::Credentials,
            Exit::Code(3) => Self::NotAllowed,
            Exit::Code(4) => Self::NoKernel,
            Exit::Code(6) => Self::Busy,
            Exit::Code(7) => Self::NoDevice,
            Exit::Code(10) => Self::NoProtocol,
            Exit::Code(15) => Self::Silent,
            Exit::Code(17) => Self::Loop,
            Exit::Code(2 | 18) => Self::Options,
            Exit::Code(8) => Self::NoConnection,
            Exit::Code(0 | 12 | 13 | 16 | 20) => Self::HungUp,
            Exit::Unknown => {
                let is_known =
                    |cause: &Self| matches!(cause, Self::Silent | Self::HungUp | Self::Credentials);
                return by_words.filter(is_known).unwrap_or(Self::Other);
            }
            Exit::Code(_) => Self::Other,
        };
        by_words.filter(|cause| of_code.may_be(*cause)).unwrap_or(of_code)
    }

    /// True if the words may tell more of what the code says.
    const fn may_be(self, by_words: Self) -> bool {
        match self {
            Self::HungUp => matches!(by_words, Self::Silent | Self::Credentials),
            Self::NoProtocol => matches!(by_words, Self::Silent),
            Self::NoConnection => matches!(
                by_words,
                Self::NoConcentrator
                    | Self::SessionRefused
                    | Self::NoModem
                    | Self::NoConnection
                    | Self::NoDevice
                    | Self::NoKernel
            ),
            Self::Options => {
                matches!(
                    by_words,
                    Self::NoDevice | Self::NoPlugin | Self::NoKernel | Self::NotAllowed
                )
            }
            Self::NoDevice | Self::NoKernel => matches!(by_words, Self::Busy | Self::NotAllowed),
            Self::Other => true,
            _ => false,
        }
    }

    /// A sentence for people.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "pppd was told to end",
            Self::HungUp => "the other end hung up, or the line was cut",
            Self::Silent => "the other end does not answer any more",
            Self::NoConcentrator => "no access concentrator answers",
            Self::SessionRefused => "the access concentrator refused a session",
            Self::NoModem => "the modem does not answer",
            Self::NoConnection => "no connection was made",
            Self::Credentials => "the provider refused the user name or the password",
            Self::Unreadable => "the file with the user name or the password cannot be used",
            Self::NoProtocol => "both ends found no address in common",
            Self::NoDevice => "the device is not there",
            Self::Busy => "another program uses the device",
            Self::NameTaken => "another interface has the name",
            Self::NoPlugin => "pppd has no plugin for PPPoE",
            Self::Options => "pppd does not take its options",
            Self::NoKernel => "the kernel has no PPP",
            Self::NotInstalled => "pppd cannot be started",
            Self::NotAllowed => "pppd is not allowed to do its work",
            Self::Loop => "the line leads back to this router",
            Self::TooSlow => "no address came within 3 minutes",
            Self::Dead => "the checks have found the line dead for long",
            Self::NoAddress => "its address was gone for long",
            Self::Inside => "the provider gave an address of a network inside, or of no host",
            Self::Killed => "pppd was killed",
            Self::Other => "pppd ended",
        }
    }

    /// What people can do about it; empty: nothing, or nothing that we know.
    pub(crate) const fn advice(self) -> &'static str {
        match self {
            Self::NoConcentrator => {
                "look at the cable, the modem (in bridge mode?) and the VLAN that the provider demands"
            }
            Self::SessionRefused => {
                "the provider may still hold the last session; that can last half an hour"
            }
            Self::NoModem => {
                "does ModemManager or another program hold the modem? is it this port of the modem?"
            }
            Self::NoConnection => "look at the SIM, its PIN, the access point name and the number",
            Self::Credentials => {
                "compare `username` and `password_file` with the provider's letter"
            }
            Self::Unreadable => {
                "it has one line, belongs to root, and nobody else may read it (mode 0600)"
            }
            Self::NoDevice => "plug it in; /dev/serial/by-id has names that stay",
            Self::Busy => "end the other program; for ModemManager set ID_MM_DEVICE_IGNORE",
            Self::NameTaken => "give the uplink another `interface`",
            Self::NoPlugin => "install pppd 2.4.9 or later with its plugin pppoe.so",
            Self::Options => {
                "look at /etc/ppp/options, and for a modem /etc/ppp/options.DEVICE, which pppd reads as well"
            }
            Self::NoKernel => "load the modules ppp_generic and pppoe",
            Self::NotInstalled => "install pppd (package ppp)",
            Self::NotAllowed => {
                "look at the rights of the service: CAP_NET_ADMIN, and DeviceAllow for /dev/ppp and the modem"
            }
            Self::Loop => "the other end is this router: look at the cabling",
            Self::Inside => "give the network inside other addresses",
            Self::TooSlow
            | Self::Dead
            | Self::NoAddress
            | Self::Stopped
            | Self::HungUp
            | Self::Silent
            | Self::NoProtocol
            | Self::Killed
            | Self::Other => "",
        }
    }

    /// How soon it is dialled again.
    pub(crate) const fn pace(self) -> Pace {
        match self {
            Self::NoDevice => Pace::Device,
            Self::Credentials
            | Self::Unreadable
            | Self::NameTaken
            | Self::NoPlugin
            | Self::Options
            | Self::NoKernel
            | Self::NotInstalled
            | Self::NotAllowed
            | Self::Inside => Pace::Person,
            Self::Stopped
            | Self::HungUp
            | Self::Silent
            | Self::NoConcentrator
            | Self::SessionRefused
            | Self::NoModem
            | Self::NoConnection
            | Self::NoProtocol
            | Self::Busy
            | Self::Loop
            | Self::TooSlow
            | Self::Dead
            | Self::NoAddress
            | Self::Killed
            | Self::Other => Pace::Line,
        }
    }
}

/// What ends nothing: options of root's home that cannot be read, name servers that cannot be written down, and
/// what `chat` would take for a failure, which it tells before it begins.
fn is_aside(line: &str) -> bool {
    line.starts_with("Warning") || line.starts_with("abort on (") || line.contains("/resolv.conf")
}

/// What pppd, its plugins and `chat` say, the surest first. (pppd 2.4.9 to 2.5.3.)
const KNOWN: &[(Cause, &[&str])] = &[
    (Cause::NameTaken, &["Couldn't rename interface", "Couldn't rename PPP unit"]),
    (Cause::NoPlugin, &["Couldn't load plugin"]),
    (
        Cause::NotAllowed,
        &["must be root", "requires root", "Operation not permitted", "Permission denied"],
    ),
    (
        Cause::NoKernel,
        &[
            "kernel does not support PPP",
            "lacks PPP kernel",
            "lacks kernel support",
            "Couldn't open the /dev/ppp",
            "Couldn't open /dev/ppp",
        ],
    ),
    (
        Cause::NoDevice,
        &["unrecognized option '/dev/", "unrecognized option 'nic-", "No such device"],
    ),
    (Cause::Busy, &["is locked by pid", "Device or resource busy"]),
    (Cause::Silent, &["No response to ", "LCP: timeout sending Config-Requests"]),
    (Cause::SessionRefused, &["PADS: ", "-Error: ", "No client slots"]),
    (Cause::NoConcentrator, &["Timeout waiting for PAD", "Unable to complete PPPoE Discovery"]),
    (Cause::NoConnection, &["send (ATD", "Failed (", "BUSY", "NO CARRIER", "NO DIALTONE"]),
    (Cause::NoModem, &["alarm", "Connect script failed"]),
    (Cause::Credentials, &["authentication failed", "Authentication failed"]),
    (Cause::HungUp, &["Modem hangup", "terminated by peer", "Connection terminated"]),
];

/// The code in words, for those who look it up.
pub(crate) fn code(exit: &Exit) -> String {
    match exit {
        Exit::Code(code) => format!("pppd ended with {code}"),
        Exit::Signal(signal) => format!("pppd ended by signal {signal}"),
        Exit::Unknown => "pppd ended".into(),
        Exit::NotStarted(why) => why.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(exit: &Exit, words: &[&str]) -> Cause {
        Cause::of(exit, words.iter().copied())
    }

    /// Given each way that pppd was seen to end, with its code and its words, then the cause and the pace
    /// are these.
    #[test]
    fn each_end_has_its_cause() {
        let pado = "Timeout waiting for PADO packets";
        let unable = "Unable to complete PPPoE Discovery";
        let rows: &[(Exit, &[&str], Cause, Pace)] = &[
            (Exit::Code(5), &["Terminating on signal 15"], Cause::Stopped, Pace::Line),
            (
                Exit::Code(16),
                &["LCP terminated by peer", "Modem hangup"],
                Cause::HungUp,
                Pace::Line,
            ),
            (
                Exit::Code(16),
                &["No response to 10 echo-requests", "Modem hangup"],
                Cause::Silent,
                Pace::Line,
            ),
            (Exit::Code(15), &[], Cause::Silent, Pace::Line),
            (Exit::Code(8), &[pado, unable], Cause::NoConcentrator, Pace::Line),
            (
                Exit::Code(8),
                &["PADS: Generic-Error: No client slots", unable],
                Cause::SessionRefused,
                Pace::Line,
            ),
            (
                Exit::Code(8),
                &[
                    "abort on (BUSY)",
                    "abort on (NO CARRIER)",
                    "timeout set to 10 seconds",
                    "send (AT^M)",
                    "expect (OK)",
                    "alarm",
                    "Failed",
                    "Connect script failed",
                ],
                Cause::NoModem,
                Pace::Line,
            ),
            (
                Exit::Code(8),
                &["NO CARRIER", " -- failed", "Failed (NO CARRIER)", "Connect script failed"],
                Cause::NoConnection,
                Pace::Line,
            ),
            (Exit::Code(19), &["PAP authentication failed"], Cause::Credentials, Pace::Person),
            (Exit::Code(19), &[], Cause::Credentials, Pace::Person),
            // Some providers hang up faster than pppd ends. Reported: a wrong password ends with 19 or with 16, and a
            // locked account is dialled again at once, for ever (OpenWrt 23792, lede 11271, gdut-drcom 10).
            (
                Exit::Code(16),
                &["Remote message: userid locked", "PAP authentication failed", "Modem hangup"],
                Cause::Credentials,
                Pace::Person,
            ),
            (
                Exit::Code(16),
                &["LCP terminated by peer (Authentication failed)", "Modem hangup"],
                Cause::Credentials,
                Pace::Person,
            ),
            (
                Exit::Code(2),
                &["In file options: unrecognized option '/dev/ttyUSB0'"],
                Cause::NoDevice,
                Pace::Device,
            ),
            (
                Exit::Code(2),
                &["In file options: unrecognized option 'nic-eth9'"],
                Cause::NoDevice,
                Pace::Device,
            ),
            (Exit::Code(2), &["Couldn't load plugin pppoe.so"], Cause::NoPlugin, Pace::Person),
            (
                Exit::Code(2),
                &["In file /etc/ppp/options: unrecognized option 'frobnicate'"],
                Cause::Options,
                Pace::Person,
            ),
            (
                Exit::Code(4),
                &["This system lacks kernel support for PPP."],
                Cause::NoKernel,
                Pace::Person,
            ),
            (Exit::Code(6), &["Device ttyUSB0 is locked by pid 812"], Cause::Busy, Pace::Line),
            (
                Exit::Code(7),
                &["Failed to open /dev/ttyUSB0: Device or resource busy"],
                Cause::Busy,
                Pace::Line,
            ),
            (
                Exit::Code(7),
                &["Failed to open /dev/ttyUSB0: No such device"],
                Cause::NoDevice,
                Pace::Device,
            ),
            (Exit::Code(10), &[], Cause::NoProtocol, Pace::Line),
            (
                Exit::Code(10),
                &["LCP: timeout sending Config-Requests", "Connection terminated."],
                Cause::Silent,
                Pace::Line,
            ),
            (
                Exit::Code(10),
                &["IPCP: timeout sending Config-Requests", "Connection terminated."],
                Cause::NoProtocol,
                Pace::Line,
            ),
            (
                Exit::Code(1),
                &["Couldn't open /dev/ppp: No such file"],
                Cause::NoKernel,
                Pace::Person,
            ),
            (
                Exit::Code(1),
                &["Couldn't open /dev/ppp: Operation not permitted"],
                Cause::NotAllowed,
                Pace::Person,
            ),
            // In a sandbox pppd cannot look into root's home, and goes on.
            (
                Exit::Code(2),
                &[
                    "Warning: can't open options file /root/.ppprc: Permission denied",
                    "pppd: In file options: unrecognized option 'nic-eth9'",
                ],
                Cause::NoDevice,
                Pace::Device,
            ),
            (
                Exit::Code(1),
                &["Couldn't rename interface ppp1 to ppp-dsl: File exists"],
                Cause::NameTaken,
                Pace::Person,
            ),
            (Exit::Code(1), &[], Cause::Other, Pace::Line),
            (Exit::Code(17), &[], Cause::Loop, Pace::Line),
            (Exit::Signal(9), &[], Cause::Killed, Pace::Line),
            (Exit::Unknown, &["No response to 10 echo-requests"], Cause::Silent, Pace::Line),
            (Exit::Unknown, &[], Cause::Other, Pace::Line),
            (
                Exit::NotStarted("the program pppd is missing".into()),
                &[],
                Cause::NotInstalled,
                Pace::Person,
            ),
            (
                Exit::NotStarted("secret file /etc/rail/x: No such file".into()),
                &[],
                Cause::Unreadable,
                Pace::Person,
            ),
        ];
        for (exit, words, cause, pace) in rows {
            let found = of(exit, words);
            assert_eq!((found, found.pace()), (*cause, *pace), "{exit:?} {words:?}");
        }
    }

    /// Given garbage, then no cause but that of the code is found.
    #[test]
    fn garbage_says_nothing() {
        let garbage = ["\u{fffd}\u{fffd}~\u{7f}}#!", "", "PPP"];
        assert_eq!(of(&Exit::Code(16), &garbage), Cause::HungUp);
        let aside = "Failed to create /etc/ppp/resolv.conf: Permission denied";
        assert_eq!(of(&Exit::Code(1), &[aside]), Cause::Other);
        // What is no matter of this code is passed over.
        assert_eq!(of(&Exit::Code(16), &["Couldn't load plugin", "alarm"]), Cause::HungUp);
    }
}
