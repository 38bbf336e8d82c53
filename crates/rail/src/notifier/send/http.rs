//! What a web server answered, from what curl printed with `include`.

use super::Ended;
use super::curl::{Orders, complaint};
use crate::notifier::retry::{Outcome, Verdict};

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    /// 100 to 999.
    pub(crate) code: u16,
    /// Seconds to wait for, if it said so in seconds.
    pub(crate) retry_after_s: Option<u64>,
    /// The first of it.
    pub(crate) body: String,
}

/// Reads an answer; `None`: it is none.
pub(crate) fn parse(output: &[u8]) -> Option<Answer> {
    let mut rest = output;
    loop {
        let (head, body) = split(rest);
        let head = String::from_utf8_lossy(head).into_owned();
        let mut lines = head.lines();
        let mut words = lines.next()?.split_whitespace();
        if !words.next()?.starts_with("HTTP/") {
            return None;
        }
        let code: u16 = words.next()?.parse().ok().filter(|code| (100..1000).contains(code))?;
        // What comes before the answer itself.
        if code < 200 {
            rest = body;
            continue;
        }
        let retry_after_s = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("retry-after").then(|| value.trim().parse().ok())?
        });
        let end = body.len().min(MOST_BODY);
        let body = String::from_utf8_lossy(&body[..end]).into_owned();
        return Some(Answer { code, retry_after_s, body });
    }
}

/// Head and body.
fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    for (gap, length) in [(&b"\r\n\r\n"[..], 4), (&b"\n\n"[..], 2)] {
        if let Some(at) = bytes.windows(length).position(|window| window == gap) {
            return (&bytes[..at], &bytes[at + length..]);
        }
    }
    (bytes, &[])
}

/// What the answer means for a message.
pub(crate) fn judge(orders: &Orders, ended: &Ended) -> Outcome {
    let answer = parse(&ended.stdout);
    let Some(answer) = answer else { return Outcome::unheard(orders.hide(&complaint(ended))) };
    let words = orders.hide(&format!("{} {}", answer.code, answer.body.trim()));
    let after_s = answer.retry_after_s;
    // The code came, and with it the decision: how the rest ended does not matter.
    match answer.code {
        200..=299 => Outcome::new(Verdict::Done, words),
        // Perhaps a provider's page that asks for something first; another way may do.
        300..=399 => Outcome::unheard(format!("{words} (a redirect is not followed)")),
        // It may be the key that is wrong, and somebody puts it right.
        401 | 403 | 407 | 408 | 425 | 429 => Outcome::new(Verdict::Later { after_s }, words),
        400..=499 => Outcome::new(Verdict::Never, words),
        _ => Outcome::new(Verdict::Later { after_s }, words),
    }
}

const MOST_BODY: usize = 4096;

#[cfg(test)]
pub(crate) mod tests {
    use super::super::Way;
    use super::*;

    pub(crate) fn ended(code: i32, stdout: &str, stderr: &str) -> Ended {
        let (stdout, stderr) = (stdout.into(), stderr.into());
        Ended { code: Some(code), problem: String::new(), stdout, stderr }
    }

    /// Given answers of servers, then what they mean is known, and their words are shown.
    #[test]
    fn answers_are_judged() {
        let rows = [
            ("HTTP/1.1 200 OK\r\nX: y\r\n\r\nok\n", Verdict::Done, "200 ok"),
            ("HTTP/2 204 \r\n\r\n", Verdict::Done, "204"),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 C\r\n\r\n", Verdict::Done, "201"),
            (
                "HTTP/1.1 302 F\r\nLocation: /\r\n\r\n",
                Verdict::Unheard,
                "302 (a redirect is not followed)",
            ),
            ("HTTP/1.1 404 N\r\n\r\nno_team", Verdict::Never, "404 no_team"),
            (
                "HTTP/1.1 429 T\r\nRetry-After: 30\r\n\r\n",
                Verdict::Later { after_s: Some(30) },
                "429",
            ),
            (
                "HTTP/1.1 503 S\r\nretry-after: Wed, 21 Oct\r\n\r\n",
                Verdict::Later { after_s: None },
                "503",
            ),
            ("HTTP/1.1 401 U\r\n\r\n", Verdict::Later { after_s: None }, "401"),
        ];
        let orders = Orders::new("=https", &Way::Inside);
        for (output, verdict, words) in rows {
            let outcome = judge(&orders, &ended(0, output, ""));
            assert_eq!(outcome, Outcome::new(verdict, words), "{output:?}");
        }
    }

    /// Given a server that answered and then hangs, then its answer counts; given none, curl's words do.
    #[test]
    fn an_answer_counts_however_it_ends() {
        let orders = Orders::new("=https", &Way::Inside);
        let stuck = ended(28, "HTTP/1.1 200 OK\r\n\r\nforever", "curl: (28) Operation timed out\n");
        assert_eq!(judge(&orders, &stuck).verdict, Verdict::Done);
        for output in
            ["", "220 smtp ready\r\n", "HTTP/1.1\r\n\r\n", "HTTP/1.1 99 x\r\n\r\n", "\u{0}"]
        {
            let silent = ended(28, output, "curl: (28) Operation timed out after 60000 ms\n");
            let expected = Outcome::unheard("Operation timed out after 60000 ms");
            assert_eq!(judge(&orders, &silent), expected, "{output:?}");
        }
        let killed = Ended { problem: "it was killed after 70 s".into(), ..Ended::default() };
        assert_eq!(judge(&orders, &killed), Outcome::unheard("it was killed after 70 s"));
    }
}
