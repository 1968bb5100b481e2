//! Loops that must not stay loops.

/// The body once for each m below a constant of at most 17. A loop that the compiler leaves a loop would index the sums at run
/// time, and so move all of them from registers to memory, in every tap.
macro_rules! unrolled {
    ($m:ident < $count:expr, $body:block) => {
        unrolled!($m, $count, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)
    };
    ($m:ident, $count:expr, $body:block, $($value:literal)*) => {
        $(if $value < $count {
            let $m = $value;
            $body
        })*
    };
}
