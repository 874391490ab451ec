//! Values from bytes in the format of postcard, with limits.
//!
//! The format is that of <https://postcard.jamesmunns.com/wire-format>. Postcard itself writes it; reading is done
//! here, because bytes that come from outside may claim what they do not hold: a list of 2^60 values that take no
//! bytes, a million values of a kilobyte in a byte each, a tree that is deeper than the stack. Postcard believes them.
//! This reader counts the memory of the values that it makes and how deep they are nested, and stops in time.

use std::fmt;

use serde::de::value::U32Deserializer;
use serde::de::{self, Deserialize, DeserializeSeed, IntoDeserializer, Visitor};

/// How deep enums, options, lists and maps may be nested in a record: deeper than data that people write, and at some
/// 500 bytes of stack a level far from the end of a thread's stack.
pub const MAX_DEPTH: usize = 128;

/// What is wrong with the bytes of a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The bytes end before the record does.
    #[error("the bytes end")]
    CutOff,
    /// A number that does not fit into its type.
    #[error("the number is too large for its type")]
    Varint,
    /// A truth value, or the mark of an option, that is neither 0 nor 1.
    #[error("{0} is neither 0 nor 1")]
    Bool(u8),
    /// Bytes that are not one character.
    #[error("these bytes are no character")]
    Char,
    /// Text that is not UTF-8.
    #[error("the text is not UTF-8")]
    Utf8,
    /// The record would take more memory than its bytes are worth.
    #[error("the values take too much memory for so few bytes")]
    Memory,
    /// The record is nested more than [`MAX_DEPTH`] deep.
    #[error("the values are nested more than {MAX_DEPTH} deep")]
    Depth,
    /// A type that has to be told by the bytes what they are; these tell nothing.
    #[error("the type cannot be read from bytes that do not describe themselves")]
    SelfDescribing,
    /// What the type itself says against them.
    #[error("{0}")]
    Refused(String),
}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Fault::Refused(message.to_string())
    }
}

/// Reads values, one after the other.
pub(super) struct Reader<'de> {
    left: &'de [u8],
    /// How many bytes the values to come may take up in memory, by their own size. What containers hold in reserve is
    /// not counted: up to four times the size of the values in a `Vec`, up to twelve in a `BTreeMap` of one.
    memory: usize,
    /// How deep the values to come may be nested.
    depth: usize,
}

impl<'de> Reader<'de> {
    pub(super) fn new(bytes: &'de [u8], memory: usize) -> Self {
        Reader { left: bytes, memory, depth: MAX_DEPTH }
    }

    /// How many bytes are left; after a fault, from where it is.
    pub(super) fn left(&self) -> usize {
        self.left.len()
    }

    #[inline]
    pub(super) fn value<T: Deserialize<'de>>(&mut self) -> Result<T, Fault> {
        self.charge(size_of::<T>(), 1)?;
        T::deserialize(self)
    }

    /// Counts values of this size. One that takes no memory takes time, and counts as a byte.
    #[inline]
    fn charge(&mut self, size: usize, values: usize) -> Result<(), Fault> {
        self.memory = self.memory.checked_sub(size.max(1).saturating_mul(values)).ok_or(Fault::Memory)?;
        Ok(())
    }

    /// Reads what is nested in a value.
    #[inline]
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.depth = self.depth.checked_sub(1).ok_or(Fault::Depth)?;
        let value = read(self)?;
        self.depth += 1;
        Ok(value)
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, Fault> {
        let (byte, left) = self.left.split_first().ok_or(Fault::CutOff)?;
        self.left = left;
        Ok(*byte)
    }

    #[inline]
    fn take(&mut self, count: usize) -> Result<&'de [u8], Fault> {
        let (taken, left) = self.left.split_at_checked(count).ok_or(Fault::CutOff)?;
        self.left = left;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (taken, left) = self.left.split_first_chunk().ok_or(Fault::CutOff)?;
        self.left = left;
        Ok(*taken)
    }

    /// A number of at most `BITS` bits, seven a byte, the lowest first.
    #[inline]
    fn varint<const BITS: u32>(&mut self) -> Result<u64, Fault> {
        let most = BITS.div_ceil(7) as usize;
        let mut number = 0;
        let mut place = 0;
        while place < most {
            let byte = *self.left.get(place).ok_or(Fault::CutOff)?;
            number |= u64::from(byte & 0x7f) << (7 * place);
            place += 1;
            if byte < 0x80 {
                if place == most && byte >> (BITS % 7) != 0 {
                    break;
                }
                self.left = &self.left[place..];
                return Ok(number);
            }
        }
        Err(Fault::Varint)
    }

    fn varint_128(&mut self) -> Result<u128, Fault> {
        const MOST: usize = u128::BITS.div_ceil(7) as usize;
        let mut number = 0;
        for (place, byte) in self.left.iter().enumerate().take(MOST) {
            number |= u128::from(byte & 0x7f) << (7 * place);
            if *byte < 0x80 {
                if place == MOST - 1 && *byte >> (u128::BITS % 7) != 0 {
                    return Err(Fault::Varint);
                }
                self.left = &self.left[place + 1..];
                return Ok(number);
            }
        }
        Err(if self.left.len() < MOST { Fault::CutOff } else { Fault::Varint })
    }

    #[inline]
    fn length(&mut self) -> Result<usize, Fault> {
        usize::try_from(self.varint::<{ u64::BITS }>()?).map_err(|_| Fault::Varint)
    }

    #[inline]
    fn block(&mut self) -> Result<&'de [u8], Fault> {
        let length = self.length()?;
        self.take(length)
    }

    #[inline]
    fn text(&mut self) -> Result<&'de str, Fault> {
        std::str::from_utf8(self.block()?).map_err(|_| Fault::Utf8)
    }

    #[inline]
    fn truth(&mut self) -> Result<bool, Fault> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Fault::Bool(other)),
        }
    }
}

/// Undoes the folding of signs into the lowest bit.
#[inline]
fn signed(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

macro_rules! numbers {
    ($($method:ident $visit:ident $type:ty, $reader:ident => $number:expr;)*) => {
        $(
            #[inline]
            fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
                let $reader = self;
                let number: $type = $number;
                visitor.$visit(number)
            }
        )*
    };
}

impl<'de> de::Deserializer<'de> for &mut Reader<'de> {
    type Error = Fault;

    fn is_human_readable(&self) -> bool {
        false
    }

    numbers! {
        deserialize_bool visit_bool bool, reader => reader.truth()?;
        deserialize_u8 visit_u8 u8, reader => reader.byte()?;
        deserialize_u16 visit_u16 u16, reader => reader.varint::<{ u16::BITS }>()? as u16;
        deserialize_u32 visit_u32 u32, reader => reader.varint::<{ u32::BITS }>()? as u32;
        deserialize_u64 visit_u64 u64, reader => reader.varint::<{ u64::BITS }>()?;
        deserialize_u128 visit_u128 u128, reader => reader.varint_128()?;
        deserialize_i8 visit_i8 i8, reader => reader.byte()?.cast_signed();
        deserialize_i16 visit_i16 i16, reader => signed(reader.varint::<{ u16::BITS }>()?) as i16;
        deserialize_i32 visit_i32 i32, reader => signed(reader.varint::<{ u32::BITS }>()?) as i32;
        deserialize_i64 visit_i64 i64, reader => signed(reader.varint::<{ u64::BITS }>()?);
        deserialize_i128 visit_i128 i128, reader => {
            let number = reader.varint_128()?;
            (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
        };
        deserialize_f32 visit_f32 f32, reader => f32::from_le_bytes(reader.array()?);
        deserialize_f64 visit_f64 f64, reader => f64::from_le_bytes(reader.array()?);
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let text = std::str::from_utf8(self.block()?).map_err(|_| Fault::Char)?;
        let mut characters = text.chars();
        match (characters.next(), characters.next()) {
            (Some(character), None) => visitor.visit_char(character),
            _ => Err(Fault::Char),
        }
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_str(self.text()?)
    }

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_str(self.text()?)
    }

    #[inline]
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_bytes(self.block()?)
    }

    #[inline]
    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_bytes(self.block()?)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.truth()? { self.nested(|reader| visitor.visit_some(reader)) } else { visitor.visit_none() }
    }

    #[inline]
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let left = self.length()?;
        self.nested(|reader| visitor.visit_seq(Items { reader, left, uncounted: [left, 0] }))
    }

    /// Its values lie inside the tuple, which is counted here because it may be in a box.
    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, left: usize, visitor: V) -> Result<V::Value, Fault> {
        self.charge(size_of::<V::Value>(), 1)?;
        visitor.visit_seq(Items { reader: self, left, uncounted: [0, 0] })
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_tuple(fields, visitor)
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_tuple(fields.len(), visitor)
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let left = self.length()?;
        self.nested(|reader| visitor.visit_map(Items { reader, left, uncounted: [left, left] }))
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.charge(size_of::<V::Value>(), 1)?;
        self.nested(|reader| visitor.visit_enum(reader))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Fault> {
        Err(Fault::SelfDescribing)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Fault> {
        Err(Fault::SelfDescribing)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Fault> {
        Err(Fault::SelfDescribing)
    }
}

/// The items of a list, the entries of a map or the fields of a tuple.
///
/// Containers allocate by its hint what has not been counted yet, so it speaks of few items, and of none far inside.
struct Items<'a, 'de> {
    reader: &'a mut Reader<'de>,
    left: usize,
    /// How many items, or keys and values, have not been counted yet: all of a kind are when the first shows their
    /// size. Those of a tuple have been counted with it.
    uncounted: [usize; 2],
}

/// Most items of which is told beforehand, and how many lists in lists may be told so of theirs: together, with items
/// of a kilobyte, a quarter of [`FREE_MEMORY`](super::FREE_MEMORY).
const HINT: usize = 32;
const HINTED_DEPTH: usize = 8;

impl<'de> Items<'_, 'de> {
    #[inline]
    fn hint(&self) -> Option<usize> {
        let near = self.reader.depth >= MAX_DEPTH - HINTED_DEPTH;
        Some(if near { self.left.min(HINT).min(self.reader.left()) } else { 0 })
    }

    #[inline]
    fn item<S: DeserializeSeed<'de>>(&mut self, kind: usize, seed: S) -> Result<S::Value, Fault> {
        if self.uncounted[kind] > 0 {
            self.reader.charge(size_of::<S::Value>(), std::mem::take(&mut self.uncounted[kind]))?;
        }
        seed.deserialize(&mut *self.reader)
    }
}

impl<'de> de::SeqAccess<'de> for Items<'_, 'de> {
    type Error = Fault;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        self.item(0, seed).map(Some)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

impl<'de> de::MapAccess<'de> for Items<'_, 'de> {
    type Error = Fault;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        de::SeqAccess::next_element_seed(self, seed)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        self.item(1, seed)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

impl<'de> de::EnumAccess<'de> for &mut Reader<'de> {
    type Error = Fault;
    type Variant = Self;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Fault> {
        let variant: U32Deserializer<Fault> = (self.varint::<{ u32::BITS }>()? as u32).into_deserializer();
        Ok((seed.deserialize(variant)?, self))
    }
}

impl<'de> de::VariantAccess<'de> for &mut Reader<'de> {
    type Error = Fault;

    #[inline]
    fn unit_variant(self) -> Result<(), Fault> {
        Ok(())
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Fault> {
        seed.deserialize(self)
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, left: usize, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_seq(Items { reader: self, left, uncounted: [0, 0] })
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_seq(Items { reader: self, left: fields.len(), uncounted: [0, 0] })
    }
}
