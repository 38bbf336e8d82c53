//! The chat script for the usual modems (AT commands of ITU-T V.250, 3GPP TS 27.007).
//!
//! Promises: what stands in it besides our own words are a number and an access point name whose characters
//! mean nothing to `chat`; the reader of the file takes no others, and here they would be left out. Leaves out
//! the PIN: one that is wrong is sent three times only.

use crate::config::{is_apn_char, is_dial_char};
use alloc::format;
use alloc::string::String;

/// The script: it dials `dial`, with the access point name where there is one.
pub(crate) fn script(dial: &str, apn: Option<&str>) -> String {
    let dial: String = dial.chars().filter(|c| is_dial_char(*c)).collect();
    let context = apn.map_or_else(String::new, |apn| {
        let apn: String = apn.chars().filter(|c| is_apn_char(*c)).collect();
        format!("OK 'AT+CGDCONT=1,\"IP\",\"{apn}\"'\n")
    });
    format!("{HEAD}{context}OK ATD{dial}\nTIMEOUT 60\nCONNECT ''\n")
}

/// `+CME ERROR` stands before `ERROR`: of several that fit, chat names the first.
const HEAD: &str = "ABORT BUSY\n\
ABORT 'NO CARRIER'\n\
ABORT 'NO DIALTONE'\n\
ABORT '+CME ERROR'\n\
ABORT ERROR\n\
TIMEOUT 10\n\
'' AT\n\
OK ATZ\n\
OK 'ATQ0 V1 E0 &D2'\n";

#[cfg(test)]
mod tests {
    use super::*;

    /// Given a number and an access point name, then the script sets the name before it dials; without a
    /// name that line is left out.
    #[test]
    fn it_names_the_access_point_before_it_dials() {
        let with = script("*99***1#", Some("internet.example"));
        let expected = "OK 'ATQ0 V1 E0 &D2'\nOK 'AT+CGDCONT=1,\"IP\",\"internet.example\"'\n\
                        OK ATD*99***1#\nTIMEOUT 60\nCONNECT ''\n";
        assert!(with.starts_with(HEAD) && with.ends_with(expected), "{with}");
        assert_eq!(script("*99#", None), format!("{HEAD}OK ATD*99#\nTIMEOUT 60\nCONNECT ''\n"));
    }

    /// Given words that would end the line, the quotes or the command, then nothing of the kind reaches the
    /// script.
    #[test]
    fn hostile_words_say_nothing() {
        let script = script("1\r\nOK 'AT'\\", Some("a'\"b\n\\c ^M@/etc/passwd"));
        let tail = script.strip_prefix(HEAD).unwrap();
        let expected =
            "OK 'AT+CGDCONT=1,\"IP\",\"abcMetcpasswd\"'\nOK ATD1A\nTIMEOUT 60\nCONNECT ''\n";
        assert_eq!(tail, expected);
    }
}
