//! `[notify]`: who is told of what happens. Nothing that could end a line of a mail, of an HTTP request
//! or of curl's configuration gets through here.

use super::effective::quoted;
use super::reader::{Node, Reader, Section, shown};
use super::unit::{digits, show};
use super::web;
use rail_core::config::{Email, Encryption, Format, Login, Notify, Quiet, Topic, Url, Webhook};
use std::time::Duration;

pub(super) fn notify(reader: &mut Reader, file: &Section<'_>) -> Notify {
    let mut notify = Notify::default();
    let Some(section) = reader.table(file, "notify", "notify") else { return notify };
    notify.email = email(reader, &section);
    notify.webhook = webhook(reader, &section);
    if let Some(node) = section.get("command") {
        notify.command = command(reader, node);
    }
    if let Some(node) = section.get("on") {
        notify.on = topics(reader, node);
    }
    notify.quiet = section.get("quiet").and_then(|node| quiet(reader, node));
    let bounds = Duration::from_secs(1)..=Duration::from_secs(600);
    notify.fold = reader.duration_or(&section, "fold", bounds, notify.fold);
    notify.at_most = reader.integer_or(&section, "at_most", 1..=1000, notify.at_most);
    let ways = ["email", "webhook", "command"];
    if !ways.iter().any(|way| section.get(way).is_some()) && !reader.broken {
        let text = "[notify] tells nobody: it has no `email`, `webhook` or `command`".to_owned();
        reader.warning(section.span, text);
    }
    notify
}

fn email(reader: &mut Reader, notify: &Section<'_>) -> Option<Email> {
    let section = reader.table(notify, "email", "notify.email")?;
    for (key, example) in [
        ("to", "[\"ops@example.org\"]"),
        ("from", "\"rail@example.org\""),
        ("server", "\"smtp.example.org\""),
    ] {
        if section.get(key).is_none() {
            reader.missing(&section, key, example);
        }
    }
    let to = section.get("to").map(|node| recipients(reader, node)).unwrap_or_default();
    let from = section.get("from").and_then(|node| mailbox(reader, node, "from"));
    let words =
        [("starttls", Encryption::StartTls), ("tls", Encryption::Tls), ("none", Encryption::None)];
    let tls = reader.word(&section, "tls", &words, &[]).unwrap_or_default();
    let server = section.get("server").and_then(|node| server(reader, node));
    let login = login(reader, &section);
    if tls == Encryption::None
        && let (Some(_), Some(node)) = (&login, section.get("username"))
    {
        reader
            .error(node.span(), "with tls = \"none\" the password would travel in the clear")
            .hint("tls = \"starttls\" (port 587) or \"tls\" (port 465)");
    }
    let ca_file = path(reader, &section, "ca_file");
    let inside = reader.boolean(&section, "inside", false);
    let (server, port) = server?;
    let port = port.unwrap_or_else(|| tls.port());
    Some(Email { to, from: from?, server, port, tls, login, ca_file, inside })
}

fn recipients(reader: &mut Reader, node: Node<'_>) -> Vec<String> {
    let nodes = reader.list(node, "to", "a list of addresses");
    if node.get_ref().is_array() && nodes.is_empty() {
        reader.error(node.span(), "`to` is empty").hint("name who gets the mail");
    } else if nodes.len() > MOST_RECIPIENTS {
        let text = format!("`to` has more than {MOST_RECIPIENTS} addresses");
        reader.error(node.span(), text).hint("a list on the mail server has room for more");
    }
    let mut all: Vec<String> = Vec::new();
    for node in nodes {
        let Some(address) = mailbox(reader, node, "to") else { continue };
        if all.contains(&address) {
            reader.error(node.span(), format!("the address {address} is listed twice"));
        }
        all.push(address);
    }
    all
}

/// `local@domain`, of what any server takes unquoted (RFC 5321 §4.1.2).
fn mailbox(reader: &mut Reader, node: Node<'_>, key: &str) -> Option<String> {
    let text = reader.text(node, key, "an address such as \"ops@example.org\"")?;
    let is_atom = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+' | '=' | '~' | '&' | '\'')
    };
    let is_good = text.split_once('@').is_some_and(|(local, domain)| {
        let is_local = !local.is_empty() && local.len() <= 64 && local.chars().all(is_atom);
        is_local && !local.starts_with(['.', '-']) && web::is_host(domain)
    });
    if !is_good {
        reader
            .error(node.span(), format!("`{key}`: \"{}\" is no mail address", shown(text)))
            .hint("the address alone, in ASCII: \"ops@example.org\"");
    }
    is_good.then(|| text.to_owned())
}

/// A name or an IPv4 address, and perhaps a port.
fn server(reader: &mut Reader, node: Node<'_>) -> Option<(String, Option<u16>)> {
    let text = reader.text(node, "server", "a server such as \"smtp.example.org\"")?;
    let (host, port) = match text.split_once(':') {
        None => (text, None),
        Some((host, port)) => {
            (host, Some(digits(port).and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0)))
        }
    };
    if !web::is_host(host) || port == Some(None) {
        reader.error(node.span(), format!("`server`: \"{}\" is no server", shown(text))).hint(
            "a name or an IPv4 address, and a port if it is another: \"smtp.example.org:2525\"",
        );
        return None;
    }
    Some((host.to_owned(), port.flatten()))
}

/// `username` and `password_file`, which go together.
pub(super) fn login(reader: &mut Reader, section: &Section<'_>) -> Option<Login> {
    let password_file = path(reader, section, "password_file");
    let username = section.get("username").and_then(|node| {
        let text = reader.text(node, "username", "a text")?;
        if text.is_empty() || text.len() > 255 || text.contains(':') {
            reader
                .error(node.span(), "`username` must have 1 to 255 characters, and no ':'")
                .hint("the password stands in a file: password_file = \"/etc/rail/password\"");
            return None;
        }
        Some(text.to_owned())
    });
    for (key, other) in [("username", "password_file"), ("password_file", "username")] {
        if let Some(node) = section.get(key)
            && section.get(other).is_none()
        {
            let text = format!("`{key}` needs `{other}`");
            let hint = "both, or neither: password_file = \"/etc/rail/password\"";
            reader.error(node.span(), text).hint(hint);
        }
    }
    Some(Login { username: username?, password_file: password_file? })
}

/// The absolute path of a file.
pub(super) fn path(reader: &mut Reader, section: &Section<'_>, key: &str) -> Option<String> {
    let node = section.get(key)?;
    let text = reader.text(node, key, "a path")?;
    if !text.starts_with('/') || text.ends_with('/') || text.len() > 4000 {
        reader
            .error(node.span(), format!("`{key}` must be the absolute path of a file"))
            .hint(format!("for example: {key} = \"/etc/rail/{key}\""));
        return None;
    }
    Some(text.to_owned())
}

/// An address, or a table.
fn webhook(reader: &mut Reader, notify: &Section<'_>) -> Option<Webhook> {
    let node = notify.get("webhook")?;
    if node.get_ref().as_str().is_some() {
        let url = Url::Plain(web::url(reader, node, "webhook", &[])?);
        let (format, headers) = (Format::default(), Vec::new());
        return Some(Webhook { url, format, headers, ca_file: None, inside: false });
    }
    let section = reader.table(notify, "webhook", "notify.webhook")?;
    let file = path(reader, &section, "url_file");
    let plain = section.get("url").and_then(|node| web::url(reader, node, "url", &[]));
    match (section.get("url"), section.get("url_file")) {
        (None, None) => reader.missing(&section, "url", "\"https://hooks.example.org/rail\""),
        (Some(_), Some(node)) => {
            reader
                .error(node.span(), "`url_file` and `url` exclude each other")
                .hint("a file keeps the address out of this one");
        }
        _ => {}
    }
    let words = [
        ("json", Format::Json),
        ("slack", Format::Slack),
        ("discord", Format::Discord),
        ("ntfy", Format::Ntfy),
    ];
    let format = reader.word(&section, "format", &words, &[]).unwrap_or_default();
    let headers = section.get("headers").map(|node| headers(reader, node)).unwrap_or_default();
    let ca_file = path(reader, &section, "ca_file");
    let inside = reader.boolean(&section, "inside", false);
    let url = plain.map(Url::Plain).or(file.map(Url::File))?;
    Some(Webhook { url, format, headers, ca_file, inside })
}

/// `Name: value`; the names that curl or we write ourselves are taken.
fn headers(reader: &mut Reader, node: Node<'_>) -> Vec<String> {
    let mut all = Vec::new();
    for node in reader.list(node, "headers", "a list of lines such as \"X-Token: abc\"") {
        let Some(text) = reader.text(node, "headers", "a line such as \"X-Token: abc\"") else {
            continue;
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let pair = text.split_once(": ").filter(|(name, value)| {
            let is_word = !name.is_empty() && name.chars().all(is_name);
            is_word && !value.trim().is_empty() && value.is_ascii() && text.len() <= 4000
        });
        let taken = ["content-type", "content-length", "host", "transfer-encoding"];
        match pair {
            None => {
                // It may be a secret, and everybody may read what is wrong with the file.
                reader
                    .error(node.span(), "an element of `headers` is no header")
                    .hint("a name, a colon, a space and the value: \"X-Token: abc\"");
            }
            Some((name, _)) if taken.contains(&name.to_ascii_lowercase().as_str()) => {
                reader.error(node.span(), format!("`headers`: {name} is set by rail"));
            }
            Some(_) => all.push(text.to_owned()),
        }
    }
    all
}

fn command(reader: &mut Reader, node: Node<'_>) -> Vec<String> {
    let nodes = reader.list(node, "command", "a list of texts");
    let read = |node: &Node<'_>| reader.text(node, "command", "a text").map(str::to_owned);
    let words: Vec<String> = nodes.iter().filter_map(read).collect();
    let is_path = words.first().is_some_and(|word| word.starts_with('/') && !word.contains('='));
    if words.len() == nodes.len() && !is_path {
        reader
            .error(node.span(), "`command` must begin with the absolute path of a program")
            .hint("no shell reads it: command = [\"/etc/rail/told\", \"argument\"]");
        return Vec::new();
    }
    words
}

fn topics(reader: &mut Reader, node: Node<'_>) -> Vec<Topic> {
    let list = Topic::ALL.map(|topic| format!("\"{}\"", topic.as_str())).join(", ");
    let nodes = reader.list(node, "on", &format!("a list of {list}"));
    if node.get_ref().is_array() && nodes.is_empty() {
        reader.error(node.span(), "`on` is empty").hint(format!("valid: {list}"));
    }
    let mut all = Vec::new();
    for node in nodes {
        let Some(text) = reader.text(node, "on", &format!("one of {list}")) else { continue };
        let Some(topic) = Topic::ALL.into_iter().find(|topic| topic.as_str() == text) else {
            let near = super::keys::nearest(text, Topic::ALL.map(Topic::as_str));
            let hint = match near {
                Some(near) => format!("did you mean \"{near}\"? valid: {list}"),
                None => format!("valid: {list}"),
            };
            let text = format!("`on` cannot have \"{}\"", shown(text));
            reader.error(node.span(), text).hint(hint);
            continue;
        };
        if all.contains(&topic) {
            reader.error(node.span(), format!("\"{text}\" is listed twice"));
        }
        all.push(topic);
    }
    all
}

fn quiet(reader: &mut Reader, node: Node<'_>) -> Option<Quiet> {
    let text = reader.text(node, "quiet", "a text such as \"22:00-07:00\"")?;
    let minute = |time: &str| {
        let (hour, minute) = time.split_once(':')?;
        let number =
            |t: &str| digits(t).filter(|_| t.len() == 2).and_then(|n| u16::try_from(n).ok());
        let (hour, minute) = (number(hour)?, number(minute)?);
        (hour < 24 && minute < 60).then_some(hour * 60 + minute)
    };
    let quiet = text
        .split_once('-')
        .and_then(|(from, to)| Some(Quiet { from: minute(from)?, to: minute(to)? }))
        .filter(|quiet| quiet.from != quiet.to);
    if quiet.is_none() {
        reader
            .error(node.span(), format!("`quiet`: \"{}\" is no part of a day", shown(text)))
            .hint("two times of the day, of the router's time zone: \"22:00-07:00\"");
    }
    quiet
}

/// As the file would have it.
pub(super) fn write(out: &mut String, notify: &Notify) {
    let mut line = |key: &str, value: Option<String>, none: &str| match value {
        Some(value) => out.push_str(&format!("{key} = {value}\n")),
        None => out.push_str(&format!("# {key}: {none}\n")),
    };
    line("\n[notify]\nfold", Some(quoted(&show(notify.fold))), "");
    line("at_most", Some(notify.at_most.to_string()), "");
    let on: Vec<_> = notify.on.iter().map(|topic| quoted(topic.as_str())).collect();
    line("on", Some(format!("[{}]", on.join(", "))), "");
    let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    let quiet = notify.quiet.map(|q| quoted(&format!("{}-{}", time(q.from), time(q.to))));
    line("quiet", quiet, "none");
    line("email", notify.email.as_ref().map(write_email), "none");
    line("webhook", notify.webhook.as_ref().map(write_webhook), "none");
    let command = (!notify.command.is_empty()).then(|| list(&notify.command));
    line("command", command, "none");
}

fn write_email(email: &Email) -> String {
    let server = format!("{}:{}", email.server, email.port);
    let mut pairs = vec![
        format!("to = {}", list(&email.to)),
        format!("from = {}", quoted(&email.from)),
        format!("server = {}", quoted(&server)),
        format!("tls = {}", quoted(email.tls.as_str())),
        format!("inside = {}", email.inside),
    ];
    pairs.extend(write_login(email.login.as_ref()));
    pairs.extend(email.ca_file.as_ref().map(|file| format!("ca_file = {}", quoted(file))));
    format!("{{ {} }}", pairs.join(", "))
}

/// A login, as a file would have it.
pub(super) fn write_login(login: Option<&Login>) -> Vec<String> {
    let Some(Login { username, password_file }) = login else { return Vec::new() };
    vec![
        format!("username = {}", quoted(username)),
        format!("password_file = {}", quoted(password_file)),
    ]
}

fn write_webhook(webhook: &Webhook) -> String {
    let url = match &webhook.url {
        Url::Plain(url) => format!("url = {}", quoted(url)),
        Url::File(file) => format!("url_file = {}", quoted(file)),
    };
    let mut pairs = vec![
        url,
        format!("format = {}", quoted(webhook.format.as_str())),
        format!("headers = {}", list(&webhook.headers)),
        format!("inside = {}", webhook.inside),
    ];
    pairs.extend(webhook.ca_file.as_ref().map(|file| format!("ca_file = {}", quoted(file))));
    format!("{{ {} }}", pairs.join(", "))
}

fn list(texts: &[String]) -> String {
    let texts: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(", "))
}

/// Each gets a mail of its own.
const MOST_RECIPIENTS: usize = 8;
