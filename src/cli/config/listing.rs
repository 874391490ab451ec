//! `skitter.toml` with every key, its meaning and its default: the file that a release brings.
//!
//! Which keys there are is what the file's reader knows; what they mean is what help says of the options of their
//! names. So neither can be forgotten here, but for an example of a new key's values.

use super::file;

/// Values that a key can have: the default where that is a value, otherwise an example.
const EXAMPLES: &[(&str, &str)] = &[
    ("deploy", "\"wordcount\""),
    ("no-deploy", "false"),
    ("cores", "8"),
    ("threads", "8"),
    ("name", "\"worker1\""),
    ("host", "\"host-a.example.org\""),
    ("tag", "[\"gpu\", \"big\"]"),
    ("listen", "\"0.0.0.0:4000\""),
    ("mapper-port", "4370"),
    ("worker-file", "\"workers\""),
    ("shutdown-with-workers", "false"),
    ("no-shutdown-with-master", "false"),
    ("adopt-timeout", "60"),
    ("checkpoint-interval", "\"10s\""),
    ("checkpoint-store", "\"/mnt/shared/checkpoints\""),
    ("unaligned-after", "\"5s\""),
    ("checkpoints-kept", "3"),
    ("recovery-wait", "5"),
    ("max-restarts", "3"),
    ("on-error", "\"dead-letter\""),
    ("dead-letters", "\"/var/log/skitter/dead-letters\""),
    ("cookie", "\"a secret\""),
    ("cookie-file", "\"/etc/skitter/cookie\""),
    ("tls-cert", "\"/etc/skitter/node.pem\""),
    ("tls-key", "\"/etc/skitter/node.key\""),
    ("tls-ca", "\"/etc/skitter/ca.pem\""),
    ("log-dir", "\"logs\""),
    ("no-log", "false"),
    ("log-level", "\"info\""),
    ("log-format", "\"text\""),
];

/// Columns of the file's comments.
const WIDTH: usize = 100;

const HEAD: &str = "\
# The configuration of Skitter's nodes. It is read from the directory that a node is started in, or
# from where --config says. Options come before the environment (SKITTER_...), that before this file,
# and this before the defaults.
#
# Each key stands here with what it means, its default, and a value that it can have; to set one,
# take away the `#` before it. Keys that exclude each other: deploy and no-deploy, cookie and
# cookie-file, log-dir and no-log.
";

/// The text of the file; it sets nothing. `help` gives what an option of that name says of itself, with its default in
/// `[default: …]`.
pub fn listing(help: &dyn Fn(&str) -> Option<String>) -> String {
    let mut text = HEAD.to_owned();
    for key in file::keys() {
        let said = help(key).unwrap_or_default();
        let (meaning, default) = parts(&said);
        text.push('\n');
        let mut say = |what: &str| wrap(what).iter().for_each(|line| text.push_str(&format!("# {line}\n")));
        say(&format!("{meaning}."));
        if !default.is_empty() {
            say(&format!("Default: {default}."));
        }
        let value = EXAMPLES.iter().find(|(known, _)| known == key).map_or("", |(_, value)| value);
        text.push_str(&format!("#{key} = {value}\n"));
    }
    text
}

/// What an option means, and its default: `Meaning [env: …] [default: …]`.
fn parts(help: &str) -> (String, String) {
    let (meaning, rest) = help.split_once("[env: ").unwrap_or((help, help));
    let default =
        rest.split_once("[default: ").and_then(|(_, rest)| rest.rsplit_once(']')).map_or("", |(text, _)| text);
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    (flat(meaning), flat(default))
}

/// Lines of a text, none longer than [`WIDTH`] unless it is one word.
fn wrap(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::super::Settings;
    use super::*;

    #[test]
    fn every_key_has_a_value_that_the_file_can_have() {
        // What the reader says that it knows: a list in backticks.
        let said = file::parse(Path::new("x"), "no-such-key = 1", true).expect_err("unknown").to_string();
        let known: BTreeSet<_> = said.split('`').skip(3).step_by(2).collect();
        let keys: BTreeSet<_> = file::keys().iter().copied().collect();
        assert!(keys.len() > 10 && keys == known, "{keys:?} {known:?}");
        let examples: BTreeSet<_> = EXAMPLES.iter().map(|(key, _)| *key).collect();
        assert_eq!(examples, keys, "each key has an example in {}", file!());
        let text = listing(&|_| Some("Meaning [env: X] [default: y]".to_owned()));
        let nothing = file::parse(Path::new("x"), &text, false).expect("it can be read");
        assert_eq!(nothing, Settings::default(), "it sets nothing");
        let mut set = Vec::new();
        for line in text.lines().filter_map(|line| line.strip_prefix('#')).filter(|line| !line.starts_with([' '])) {
            if let Some((key, value)) = line.split_once(" = ") {
                let settings = file::parse(Path::new("x"), &format!("{key} = {value}"), true).expect(line);
                assert!(settings != Settings::default() || value == "false", "{line}");
                set.push(key);
            }
        }
        assert_eq!(set, file::keys());
    }

    #[test]
    fn texts_are_taken_apart() {
        let help = "The secret;\n  others [env: SKITTER_X, by\n commas] [default: the one of [a] file]";
        assert_eq!(parts(help), ("The secret; others".to_owned(), "the one of [a] file".to_owned()));
        assert_eq!(parts("Meaning"), ("Meaning".to_owned(), String::new()));
        let long = "word ".repeat(50);
        let lines = wrap(&long);
        assert!(lines.len() > 1 && lines.iter().all(|line| line.len() <= WIDTH));
        assert_eq!(lines.join(" "), long.trim_end());
    }
}
