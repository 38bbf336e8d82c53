//! `email` of fault_tolerant_router, which is `[notify.email]` here. Its password is not copied: it gets a
//! file of its own.

use super::draft::{Draft, clean};
use super::notes::{At, Notes, Section};
use super::yaml::{Node, Value};
use crate::load::quoted;
use std::ops::Range;

/// What `smtp_parameters` says.
struct Smtp {
    server: Option<At<String>>,
    port: Option<At<i64>>,
    user: Option<At<String>>,
    starttls: Option<bool>,
}

/// Written as a comment where they sent no mail, or could not have.
pub(super) fn email(notes: &mut Notes, draft: &mut Draft, root: &Section<'_>) {
    draft.gap();
    let known = ["send", "sender", "recipients", "smtp_parameters"];
    let Some(section) = notes.section(root, "email", "email.", &known) else {
        draft.say("email: left out.");
        return;
    };
    let send = section.value("send").and_then(|node| notes.boolean(node, "email.send"));
    let mut text =
        |key: &str, path: &str| section.value(key).and_then(|node| notes.text(node, path));
    let sender = text("sender", "email.sender");
    let recipients = section.value("recipients").map(|node| (recipients(node), node.span.clone()));
    let smtp = smtp(notes, draft, &section);
    let is_whole = sender.is_some()
        && smtp.server.is_some()
        && recipients.as_ref().is_some_and(|(all, _)| !all.is_empty());
    let is_on = send == Some(true) && is_whole;
    if send == Some(true) && !is_whole {
        let text = "nobody will get mail: `email` lacks its sender, recipients or server";
        notes.warn(&section.span, text).hint("complete [notify.email] in the new file");
    }
    draft.say(if is_on {
        "email: rail tells more than they did, see docs/notifications.md; `rail test-notification` tries it."
    } else {
        "email.send is not true, or something is missing, so this is off. It is made of sender, recipients and \
         smtp_parameters: address, port, enable_starttls_auto, user_name; the password is not copied. \
         docs/notifications.md says what rail tells."
    });
    draft.is_off = !is_on;
    draft.header("[notify.email]", "email", &section.span);
    if let Some((all, span)) = &recipients {
        let all: Vec<_> = all.iter().map(|one| quoted(&clean(one))).collect();
        draft.set("to", &format!("[{}]", all.join(", ")), "email.recipients", span);
    }
    if let Some(At { value, span }) = &sender {
        draft.set_text("from", value, "email.sender", span);
    }
    server(notes, draft, &smtp, is_on);
    draft.is_off = false;
    for entry in section.entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
        draft.quote(&format!("email.{}: not copied", clean(&entry.key)));
    }
}

/// A list, or one text.
fn recipients(node: &Node) -> Vec<String> {
    match &node.value {
        Value::List(items) => items.iter().filter_map(Node::text).map(str::to_owned).collect(),
        _ => node.text().map(str::to_owned).into_iter().collect(),
    }
}

/// Reads the parameters, and says what becomes of those that have no counterpart.
fn smtp(notes: &mut Notes, draft: &mut Draft, email: &Section<'_>) -> Smtp {
    let path = "email.smtp_parameters.";
    let mut smtp = Smtp { server: None, port: None, user: None, starttls: None };
    let Some(section) = notes.section(email, "smtp_parameters", path, PARAMETERS) else {
        return smtp;
    };
    let name = |key: &str| format!("{path}{key}");
    smtp.server = section.value("address").and_then(|node| notes.text(node, &name("address")));
    smtp.port = section.value("port").and_then(|node| notes.integer(node, &name("port")));
    smtp.user = section.value("user_name").and_then(|node| notes.text(node, &name("user_name")));
    let starttls = section.value("enable_starttls_auto");
    smtp.starttls = starttls.and_then(|node| notes.boolean(node, &name("enable_starttls_auto")));
    for entry in section.entries {
        match entry.key.as_str() {
            "domain" | "authentication" => {
                draft.say(&format!(
                    "{}: no counterpart, rail and the server agree on it.",
                    name(&entry.key)
                ));
            }
            key if !PARAMETERS.contains(&key) => {
                draft.quote(&format!("{}: not copied", name(&clean(key))));
            }
            _ => {}
        }
    }
    smtp
}

fn server(notes: &mut Notes, draft: &mut Draft, smtp: &Smtp, is_on: bool) {
    let Some(At { value: host, span }) = &smtp.server else { return };
    let port = smtp.port.as_ref().map_or(25, |port| port.value);
    let address = format!("{}:{port}", clean(host));
    draft.set_text("server", &address, "email.smtp_parameters.address, port", span);
    let is_local = host == "localhost" || host.starts_with("127.");
    let tls = match port {
        465 => "tls",
        // Ruby went on in the clear where the server offered nothing else.
        _ if smtp.user.is_none() && (is_local || port == 25 || smtp.starttls == Some(false)) => {
            "none"
        }
        _ => "starttls",
    };
    draft.set_text("tls", tls, "email.smtp_parameters.port, enable_starttls_auto", span);
    if let Some(At { value, span }) = &smtp.user {
        draft.set_text("username", value, "email.smtp_parameters.user_name", span);
        let origin = "email.smtp_parameters.password, not copied: its first line";
        draft.set_text("password_file", PASSWORD_FILE, origin, span);
        if is_on {
            password(notes, span);
        }
    }
}

fn password(notes: &mut Notes, span: &Range<usize>) {
    let text = format!("the password is not copied: write it to {PASSWORD_FILE}, mode 0600");
    notes.warn(span, text).hint("without it no mail is sent");
}

const PARAMETERS: &[&str] = &[
    "address",
    "port",
    "domain",
    "authentication",
    "enable_starttls_auto",
    "user_name",
    "password",
];
const PASSWORD_FILE: &str = "/etc/rail/smtp-password";
