//! What makes a checkpoint: whose state it is, and which objects hold it. A JSON file that people can look into.

use serde::{Deserialize, Serialize};
use serde_json::Serializer;

use super::checksum::checksum;
use super::lines::Lines;
use super::{Section, StateError};
use crate::id::{VertexId, WorkerId};

/// The form of the file; one that is read otherwise gets another number.
const FORMAT: u64 = 1;

/// How the file begins, up to the number of its form.
const HEAD: &str = "{\n  \"format\": ";

/// What stands between the form and the sum, and behind the sum, which is that of all other bytes.
const SUM: [&str; 2] = [",\n  \"checksum\": \"", "\""];

/// Most bytes of a file that is read: sections of a thousand workers with 1,024 key groups each have a tenth of it.
pub const MOST_MANIFEST: u64 = 1024 * 1024 * 1024;

/// A checkpoint: all that a workflow needs to go on from where it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Its number in its run; a later one has a higher one.
    pub checkpoint: u64,
    /// The run that it is of.
    pub run: String,
    /// The name of the workflow.
    pub workflow: String,
    /// The arguments that the workflow was built with.
    pub arguments: Vec<String>,
    /// The fingerprint of the workflow.
    #[serde(with = "hexadecimal")]
    pub fingerprint: u64,
    /// The version of Skitter that has written it.
    pub version: String,
    /// The fingerprint of the program, if it is known.
    pub build: Option<String>,
    /// When it was complete, in milliseconds since 1970 (UTC).
    pub at_ms: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Whether somebody asked for it, to be kept until somebody deletes it.
    pub savepoint: bool,
    /// All vertices of the workflow.
    pub vertices: Vec<SavedVertex>,
    /// All workers.
    pub workers: Vec<SavedWorker>,
    /// The objects that hold their state.
    pub objects: Vec<SavedObject>,
}

/// A vertex of the workflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedVertex {
    /// Its number.
    pub id: VertexId,
    /// Its name.
    pub name: String,
    /// Its operation.
    pub operation: String,
    /// Its strategy.
    pub strategy: String,
    /// The types of its records, in and out.
    pub types: [String; 2],
    /// How many workers it has; none if it runs inside of others'.
    pub workers: u32,
}

/// A worker of the workflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedWorker {
    /// Which one.
    pub worker: WorkerId,
    /// Whether it had ended, so that there is nothing to restore.
    pub finished: bool,
    /// Whether it had drained.
    pub drained: bool,
}

/// An object that holds state: of this checkpoint, or of an earlier one and then with the sections that still count.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SavedObject {
    /// Its path in the store.
    pub path: String,
    /// How many bytes it has.
    pub length: u64,
    /// Who has written it.
    pub worker: WorkerId,
    /// What of it counts.
    pub sections: Vec<Section>,
}

impl Manifest {
    /// The text of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let written = self.serialize(&mut Serializer::with_formatter(&mut bytes, Lines::default()));
        // Writing to memory does not fail, and all keys are text: nothing is lost here. What was cut would be refused
        // when it is read.
        let rest = if written.is_ok() { bytes.strip_prefix(b"{").unwrap_or_default() } else { &[] };
        let mut file = Vec::with_capacity(HEAD.len() + SUM[0].len() + SUM[1].len() + rest.len() + 32);
        file.extend_from_slice(head().as_bytes());
        file.extend_from_slice(format!("{:08x}{},", sum(rest), SUM[1]).as_bytes());
        file.extend_from_slice(rest);
        file.push(b'\n');
        file
    }

    /// Reads the text of a file, which may be anybody's.
    ///
    /// # Errors
    /// When it is none, or damaged; when it has a form of a later version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Manifest, StateError> {
        let wrong = |why: &str| StateError::damaged("the manifest", why);
        if bytes.len() as u64 > MOST_MANIFEST {
            return Err(wrong("it is too long"));
        }
        let behind = bytes.strip_prefix(HEAD.as_bytes()).ok_or_else(|| wrong("it does not begin like one"))?;
        let digits = behind.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let format = std::str::from_utf8(&behind[..digits]).ok().and_then(|digits| digits.parse::<u64>().ok());
        let format = format.filter(|_| behind.get(digits) == Some(&b','));
        match format.ok_or_else(|| wrong("its format is no number"))? {
            FORMAT => {}
            format if format > FORMAT => {
                return Err(StateError::Newer { what: "the manifest".to_owned(), format, known: FORMAT });
            }
            _ => return Err(wrong("it has a format that there has never been")),
        }
        let behind = bytes.strip_prefix(head().as_bytes()).ok_or_else(|| wrong("it has no sum"))?;
        let (said, behind) = behind.split_at_checked(8).ok_or_else(|| wrong("it is cut off"))?;
        let rest = behind.strip_prefix(SUM[1].as_bytes()).and_then(|rest| rest.strip_prefix(b","));
        let rest = rest.and_then(|rest| rest.strip_suffix(b"\n")).ok_or_else(|| wrong("it is cut off"))?;
        if said != format!("{:08x}", sum(rest)).as_bytes() {
            return Err(wrong("its sum is another: it was changed"));
        }
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(|error| wrong(&error.to_string()))?;
        let beyond = |object: &SavedObject| {
            let ends = object.sections.iter().map(|section| section.at.checked_add(section.length));
            ends.into_iter().any(|end| end.is_none_or(|end| end > object.length))
        };
        match manifest.objects.iter().find(|object| beyond(object)) {
            Some(object) => Err(wrong(&format!("a section of `{}` ends beyond it", object.path.escape_debug()))),
            None => Ok(manifest),
        }
    }

    /// How many bytes of state count.
    pub fn size(&self) -> u64 {
        let sections = self.objects.iter().flat_map(|object| &object.sections);
        sections.fold(0, |size, section| size.saturating_add(section.length))
    }
}

/// All bytes before the sum.
fn head() -> String {
    format!("{HEAD}{FORMAT}{}", SUM[0])
}

/// The sum of what is before it and behind.
fn sum(rest: &[u8]) -> u32 {
    checksum(&[head().as_bytes(), rest])
}

/// The same with the sum that it should have, if it is as long as that: whoever writes to a store can do so, too.
#[cfg(any(test, fuzzing))]
pub fn with_sum(bytes: &[u8]) -> Vec<u8> {
    let summed = || {
        let (said, behind) = bytes.strip_prefix(head().as_bytes())?.split_at_checked(8)?;
        let rest = behind.strip_prefix(SUM[1].as_bytes())?.strip_prefix(b",")?.strip_suffix(b"\n")?;
        let at = bytes.len() - behind.len() - said.len();
        Some((at, format!("{:08x}", sum(rest))))
    };
    let mut file = bytes.to_vec();
    if let Some((at, sum)) = summed() {
        file.splice(at..at + sum.len(), sum.into_bytes());
    }
    file
}

/// A number of 64 bits as text, for JSON's numbers have 53 where other programs read them.
mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{number:016x}"))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.bytes().all(|digit| digit.is_ascii_hexdigit());
        let number = u64::from_str_radix(&text, 16).ok().filter(|_| digits && text.len() == 16);
        number.ok_or_else(|| D::Error::custom("a fingerprint is no number"))
    }
}

#[cfg(test)]
mod tests;
