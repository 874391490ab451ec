//! Sends a parcel to a host.
//!
//! What is there of it from an attempt that was cut is not sent again. It is unpacked beside its place and then moved
//! there, so what stands at the place is whole.

use std::sync::Arc;
use std::time::Duration;

use openssh::{ChildStdin, ChildStdout, Session, Stdio};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::time::timeout;

use super::machine;
use super::parcel::Parcel;
use super::protocol::MARK;
use super::trouble::{Trouble, chain};

/// How long nothing may move.
const STALL: Duration = Duration::from_secs(30);

/// How long a host may take to unpack what it has got.
const UNPACK: Duration = Duration::from_secs(300);

/// Bytes that are sent at a time.
const CHUNK: usize = 128 * 1024;

/// Longest line that is listened to.
const MOST_SAID: u64 = 64 * 1024;

/// Takes a parcel in: its arguments are the directory of the release, the place below it, the parcel's sum and size. It
/// wants nothing but a shell, `tar` and `gzip`. Two that send the same to one host would spoil it for each other, so
/// where there is `flock`, the second one is refused.
const TAKE_IN: &str = r#"
say() { printf 'skitter-agent %s\n' "$1"; }
failed() { say "failed $(printf %s "$1" | tr '\n' ' ')"; exit 0; }
say "machine $(uname -sm)"
why=$(mkdir -p -- "$1" 2>&1) || failed "$why"
cd -- "$1" || failed "\`$1\` cannot be entered"
[ -d "$2" ] && { say "is there"; exit 0; }
part=$2.$3.part
why=$({ mkdir -p -- "${2%/*}" && : >>"$part"; } 2>&1) || failed "$why"
exec 9>>"$part"
if command -v flock >/dev/null; then flock -n 9 || failed "somebody else is copying it there"; fi
at=$(($(wc -c <"$part")))
[ "$at" -le "$4" ] || { : >"$part"; at=0; }
say "at $at"
why=$(cat 2>&1 >&9) || { rm -f -- "$part"; failed "$why"; }
[ "$(($(wc -c <"$part")))" -eq "$4" ] || exit 0
rm -rf -- "$2.new"
why=$({ mkdir -- "$2.new" && tar -xzf "$part" -C "$2.new" && mv -- "$2.new" "$2"; } 2>&1)
status=$?
rm -rf -- "$2.new" "$part"
[ "$status" -eq 0 ] || failed "$why"
say "done"
"#;

/// What has become of a parcel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It was there.
    Known,
    /// It was sent: so many bytes of it.
    Sent(u64),
}

/// Sends a parcel to a host, where `base` is the directory of the release. `tell` is told how many bytes are there.
///
/// # Errors
/// When the host takes other programs than this one, has no room or no right to write there, or is lost.
pub async fn deliver(
    session: &Arc<Session>,
    base: &str,
    parcel: &Parcel,
    mut tell: impl FnMut(u64),
) -> Result<Delivery, Trouble> {
    match attempt(session, base, parcel, &mut tell).await {
        // What was there may have been damaged; it is gone now.
        Err(Failed { resumed: true, trouble: Trouble::NotTaken { .. } }) => {
            attempt(session, base, parcel, &mut tell).await.map_err(|failed| failed.trouble)
        }
        result => result.map_err(|failed| failed.trouble),
    }
}

/// Why an attempt has failed.
struct Failed {
    /// It has gone on with what was there.
    resumed: bool,
    trouble: Trouble,
}

impl From<Trouble> for Failed {
    fn from(trouble: Trouble) -> Self {
        Failed { resumed: false, trouble }
    }
}

async fn attempt(
    session: &Arc<Session>,
    base: &str,
    parcel: &Parcel,
    tell: &mut impl FnMut(u64),
) -> Result<Delivery, Failed> {
    let mut command = Arc::clone(session).arc_command("sh");
    command.args(["-c", TAKE_IN, "sh", base, parcel.place(), parcel.sum(), &parcel.size().to_string()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let lost = |error: openssh::Error| Trouble::Login(chain(&error));
    let mut child = command.spawn().await.map_err(lost)?;
    let input = child.stdin().take();
    let output = child.stdout().take().ok_or_else(|| Trouble::Lost("it has no output".to_owned()))?;
    let mut output = BufReader::new(output);
    let begin = loop {
        let said = said(&mut output, STALL).await?;
        match said.strip_prefix("machine ") {
            Some(found) if !machine::runs_on(found) => {
                return Err(Trouble::OtherMachine { machine: found.to_owned(), own: machine::own() }.into());
            }
            Some(_) => {}
            None => break said,
        }
    };
    let at = match begin.strip_prefix("at ").map(str::parse::<u64>) {
        Some(Ok(at)) if at <= parcel.size() => at,
        _ if begin == "is there" => return Ok(Delivery::Known),
        _ => return Err(refused(begin, base).into()),
    };
    let resumed = at > 0;
    let sent = match input {
        // If it cannot be written, what the other side says next tells why.
        Some(input) => send(input, parcel, at, tell).await.map_err(|trouble| Failed { resumed, trouble })?,
        None => 0,
    };
    match said(&mut output, UNPACK).await {
        Ok(end) if end == "done" => Ok(Delivery::Sent(sent)),
        Ok(end) => Err(Failed { resumed, trouble: refused(end, base) }),
        Err(trouble) => Err(Failed { resumed, trouble }),
    }
}

/// Writes what is not there yet. Returns how much that was, as far as it got.
async fn send(mut input: ChildStdin, parcel: &Parcel, begin: u64, tell: &mut impl FnMut(u64)) -> Result<u64, Trouble> {
    let (mut at, mut chunk) = (begin, vec![0; CHUNK]);
    while at < parcel.size() {
        let read = parcel.read_at(&mut chunk, at).map_err(|error| Trouble::Lost(error.to_string()))?;
        if read == 0 {
            break;
        }
        match timeout(STALL, input.write_all(&chunk[..read])).await {
            Ok(Ok(())) => at += read as u64,
            Ok(Err(_)) => break,
            Err(_) => return Err(Trouble::Silent { what: "the copy", limit: STALL }),
        }
        tell(at);
    }
    Ok(at - begin)
}

fn refused(said: String, base: &str) -> Trouble {
    match said.strip_prefix("failed ") {
        Some(why) => Trouble::NotTaken { directory: base.to_owned(), why: why.trim().to_owned() },
        None => Trouble::Nonsense(said),
    }
}

/// The next that is said by the script, and not by what else a login may run.
async fn said(output: &mut BufReader<ChildStdout>, limit: Duration) -> Result<String, Trouble> {
    let next = async {
        loop {
            let mut bytes = Vec::new();
            let read = (&mut *output).take(MOST_SAID).read_until(b'\n', &mut bytes).await;
            if !matches!(read, Ok(1..)) {
                return Err(Trouble::Lost(String::new()));
            }
            if let Some(said) = String::from_utf8_lossy(&bytes).trim_end().strip_prefix(MARK) {
                return Ok(said.to_owned());
            }
        }
    };
    timeout(limit, next).await.unwrap_or(Err(Trouble::Silent { what: "the copy", limit }))
}
