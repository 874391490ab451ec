//! Tests of the room: formats, stores, and what is kept.
