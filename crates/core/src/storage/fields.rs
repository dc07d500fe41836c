//! The fields of a model's rows, by the names of their columns: what serde tells of them.
//!
//! A field is a value as SQL knows it: NULL, an integer, a float, a boolean or a text. A time is what its type tells where no
//! person reads it: an [`Instant`](super::types::Instant) microseconds, a day its text.

use std::fmt;

use serde::Serialize;
use serde::ser::{self, Impossible, SerializeStruct, Serializer};

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Field<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Bool(bool),
    Text(&'a str),
}

impl Field<'_> {
    /// Whether they hold the same. Two floats do if all their bits are the same.
    pub(crate) fn is(self, other: Field<'_>) -> bool {
        match (self, other) {
            (Self::Real(one), Field::Real(other)) => one.to_bits() == other.to_bits(),
            (one, other) => one == other,
        }
    }
}

/// What takes the fields of rows.
pub(super) trait Fields {
    /// Its place for the field of a name; none where it does not want it.
    fn place(&mut self, name: &'static str) -> Option<usize>;

    /// Takes the value of a field that it wants.
    ///
    /// # Errors
    /// It is not one that it can take.
    fn take(&mut self, place: usize, value: Field<'_>) -> Result<(), Untold>;
}

/// Hands the fields of a row to `into`.
///
/// # Errors
/// The row is not a struct, a field is not a value of a column, or it is not taken.
pub(super) fn each<T: Serialize>(row: &T, into: &mut impl Fields) -> Result<(), Untold> {
    row.serialize(RowOf(into))
}

/// Something that no column holds.
#[derive(Debug)]
pub(super) struct Untold;

impl fmt::Display for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a value of a column")
    }
}

impl std::error::Error for Untold {}

impl ser::Error for Untold {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// The serializer of a row, and of its fields one after the other.
struct RowOf<'a, F>(&'a mut F);

impl<F: Fields> SerializeStruct for RowOf<'_, F> {
    type Ok = ();
    type Error = Untold;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Untold> {
        match self.0.place(name) {
            Some(place) => value.serialize(FieldOf { into: self.0, place }),
            None => Ok(()),
        }
    }

    /// A field that is left out of some rows is NULL there.
    fn skip_field(&mut self, name: &'static str) -> Result<(), Untold> {
        self.serialize_field(name, &None::<i64>)
    }

    fn end(self) -> Result<(), Untold> {
        Ok(())
    }
}

/// The serializer of a field.
struct FieldOf<'a, F> {
    into: &'a mut F,
    place: usize,
}

type No = Impossible<(), Untold>;

/// What neither a row nor a field can be: the same of both serializers.
macro_rules! refused {
    () => {
        type Ok = ();
        type Error = Untold;
        type SerializeSeq = No;
        type SerializeTuple = No;
        type SerializeTupleStruct = No;
        type SerializeTupleVariant = No;
        type SerializeMap = No;
        type SerializeStructVariant = No;

        /// Nobody reads these values as text.
        fn is_human_readable(&self) -> bool {
            false
        }

        fn serialize_newtype_variant<T: Serialize + ?Sized>(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: &T,
        ) -> Result<(), Untold> {
            Err(Untold)
        }

        refused! {
            serialize_i8(i8) -> ();
            serialize_u8(u8) -> ();
            serialize_u16(u16) -> ();
            serialize_u32(u32) -> ();
            serialize_u64(u64) -> ();
            serialize_char(char) -> ();
            serialize_bytes(&[u8]) -> ();
            serialize_unit() -> ();
            serialize_unit_struct(&'static str) -> ();
            serialize_unit_variant(&'static str, u32, &'static str) -> ();
            serialize_seq(Option<usize>) -> No;
            serialize_tuple(usize) -> No;
            serialize_tuple_struct(&'static str, usize) -> No;
            serialize_tuple_variant(&'static str, u32, &'static str, usize) -> No;
            serialize_map(Option<usize>) -> No;
            serialize_struct_variant(&'static str, u32, &'static str, usize) -> No;
        }
    };
    ($($name:ident($($type:ty),*) -> $ok:ty;)+) => {
        $(fn $name(self, $(_: $type),*) -> Result<$ok, Untold> { Err(Untold) })+
    };
}

macro_rules! taken {
    ($($name:ident($type:ty) as $kind:ident;)+) => {
        $(fn $name(self, value: $type) -> Result<(), Untold> { self.into.take(self.place, Field::$kind(value.into())) })+
    };
}

impl<F: Fields> Serializer for FieldOf<'_, F> {
    type SerializeStruct = No;

    refused! {}

    refused! { serialize_struct(&'static str, usize) -> No; }

    taken! {
        serialize_bool(bool) as Bool;
        serialize_i16(i16) as Integer;
        serialize_i32(i32) as Integer;
        serialize_i64(i64) as Integer;
        serialize_f32(f32) as Real;
        serialize_f64(f64) as Real;
        serialize_str(&str) as Text;
    }

    fn serialize_none(self) -> Result<(), Untold> {
        self.into.take(self.place, Field::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Untold> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Untold> {
        value.serialize(self)
    }
}

impl<F: Fields> Serializer for RowOf<'_, F> {
    type SerializeStruct = Self;

    refused! {}

    refused! {
        serialize_bool(bool) -> ();
        serialize_i16(i16) -> ();
        serialize_i32(i32) -> ();
        serialize_i64(i64) -> ();
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_str(&str) -> ();
        serialize_none() -> ();
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Untold> {
        Ok(self)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<(), Untold> {
        Err(Untold)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, row: &T) -> Result<(), Untold> {
        row.serialize(self)
    }
}
