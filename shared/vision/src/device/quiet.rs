//! Calls that may panic: cudarc does where a library isn't there.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Calls, and makes an error text of an error or a panic, which isn't printed.
pub(super) fn quietly<T, E: ToString>(call: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                usual(info);
            }
        }));
    });
    let before = QUIET.replace(true);
    // What a call leaves half done belongs to the device, which isn't used again.
    let ended = panic::catch_unwind(AssertUnwindSafe(call));
    QUIET.set(before);
    match ended {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => Err(message(panic.as_ref())),
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(text), _) => text.clone(),
        (None, Some(text)) => (*text).to_owned(),
        (None, None) => "it panicked".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_text() {
        assert_eq!(quietly(|| Ok::<_, String>(3)), Ok(3));
        assert_eq!(quietly(|| Err::<(), _>("no")), Err("no".to_owned()));
        assert_eq!(quietly(|| -> Result<(), String> { panic!("lib {}", 1) }), Err("lib 1".into()));
        assert_eq!(quietly(|| -> Result<(), String> { panic!("text") }), Err("text".into()));
        assert!(!QUIET.get());
    }
}
