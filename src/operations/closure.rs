//! What operations made of closures have in common.

/// Implements `Clone` and `Debug` for an operation whose type parameters are not all `Clone` and `Debug`: it holds
/// closures and markers of types only.
macro_rules! clone_and_debug {
    ($name:ident<$($type:ident),+> { $($field:ident),+ }) => {
        impl<$($type),+> Clone for $name<$($type),+>
        where
            F: Clone,
        {
            fn clone(&self) -> Self {
                $name { $($field: self.$field.clone(),)+ types: PhantomData }
            }
        }

        impl<$($type),+> std::fmt::Debug for $name<$($type),+> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

pub(super) use clone_and_debug;
