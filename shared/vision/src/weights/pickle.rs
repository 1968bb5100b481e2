//! A pickle machine that knows state dicts and nothing else.
//!
//! Pickle is a stack language that can call any Python function; this reader has no functions to call. The few globals that a
//! state dict names are values of an enum; every other one is an error. Source: CPython's `Lib/pickletools.py`, protocol 2.
//!
//! Values live in one flat heap and refer to each other by index, so that nesting can't exhaust the stack.

use std::collections::HashMap;

use super::FormatError;

/// Values that one pickle may make.
const MAX_VALUES: usize = 4_000_000;

/// What the machine computes with.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// Longer than 64 bits; little endian, two's complement.
    Long(Vec<u8>),
    Text(String),
    Global(Global),
    Tuple(Handle),
    List(Handle),
    Dict(Handle),
    /// What a persistent id stands for: a storage.
    Storage(Storage),
    Tensor(Tensor),
}

/// A container's place in the heap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Handle(usize);

/// The globals of state dicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(Kind),
}

/// Element types of storages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    F16,
    Bf16,
    F32,
    F64,
    /// Integers of this many bytes.
    Integer(usize),
}

/// A storage named by the pickle; its bytes come from elsewhere in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Storage {
    pub(super) key: String,
    pub(super) kind: Kind,
    pub(super) elements: usize,
}

/// A view of a storage, in elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tensor {
    pub(super) storage: Storage,
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

/// A finished pickle: its value and the heap that the value refers to.
#[derive(Debug)]
pub(super) struct Pickle {
    pub(super) value: Value,
    heap: Vec<Container>,
}

#[derive(Debug)]
enum Container {
    Items(Vec<Value>),
    Pairs(Vec<(Value, Value)>),
}

impl Pickle {
    /// Reads one pickle from the front of `bytes` and moves `bytes` behind it.
    pub(super) fn read(bytes: &mut &[u8]) -> Result<Self, FormatError> {
        let mut machine = Machine { rest: bytes, len: bytes.len(), ..Machine::default() };
        let value = machine.run()?;
        *bytes = machine.rest;
        Ok(Self { value, heap: machine.heap })
    }

    /// Items of a tuple or list.
    pub(super) fn items(&self, value: &Value) -> Option<&[Value]> {
        let (Value::Tuple(handle) | Value::List(handle)) = value else { return None };
        match &self.heap[handle.0] {
            Container::Items(items) => Some(items),
            Container::Pairs(_) => None,
        }
    }

    /// Pairs of a dict.
    pub(super) fn pairs(&self, value: &Value) -> Option<&[(Value, Value)]> {
        let Value::Dict(handle) = value else { return None };
        match &self.heap[handle.0] {
            Container::Pairs(pairs) => Some(pairs),
            Container::Items(_) => None,
        }
    }
}

#[derive(Default)]
struct Machine<'a> {
    rest: &'a [u8],
    len: usize,
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    heap: Vec<Container>,
    made: usize,
}

impl Machine<'_> {
    fn run(&mut self) -> Result<Value, FormatError> {
        loop {
            let at = self.len - self.rest.len();
            let [opcode] = self.array("a pickle instruction")?;
            match opcode {
                // PROTO, FRAME: nothing to do.
                0x80 => drop(self.array::<1>("PROTO")?),
                0x95 => drop(self.array::<8>("FRAME")?),
                b'.' => return self.pop(),
                b'(' => self.marks.push(self.stack.len()),
                b'0' => drop(self.pop()?),
                b'1' => drop(self.after_mark()?),
                b'N' => self.push(Value::None)?,
                0x88 => self.push(Value::Bool(true))?,
                0x89 => self.push(Value::Bool(false))?,
                b'K' => {
                    let value = u8::from_le_bytes(self.array("BININT1")?);
                    self.push(Value::Int(value.into()))?;
                }
                b'M' => {
                    let value = u16::from_le_bytes(self.array("BININT2")?);
                    self.push(Value::Int(value.into()))?;
                }
                b'J' => {
                    let value = i32::from_le_bytes(self.array("BININT")?);
                    self.push(Value::Int(value.into()))?;
                }
                0x8a => {
                    let [len] = self.array("LONG1")?;
                    let value = integer(self.take(len.into(), "LONG1")?);
                    self.push(value)?;
                }
                b'X' => {
                    let len = u32::from_le_bytes(self.array("BINUNICODE")?);
                    self.text(len as usize)?;
                }
                0x8c => {
                    let [len] = self.array("SHORT_BINUNICODE")?;
                    self.text(len.into())?;
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.push(Value::Global(global(&module, &name)?))?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let (Value::Text(module), Value::Text(name)) = (module, name) else {
                        return Err(malformed("a global's name is no text"));
                    };
                    self.push(Value::Global(global(&module, &name)?))?;
                }
                b'q' => {
                    let [key] = self.array("BINPUT")?;
                    self.memoize(key.into())?;
                }
                b'r' => {
                    let key = u32::from_le_bytes(self.array("LONG_BINPUT")?);
                    self.memoize(key)?;
                }
                0x94 => self.memoize(self.memo.len() as u32)?,
                b'h' => {
                    let [key] = self.array("BINGET")?;
                    self.recall(key.into())?;
                }
                b'j' => {
                    let key = u32::from_le_bytes(self.array("LONG_BINGET")?);
                    self.recall(key)?;
                }
                b'}' => self.dict()?,
                b']' => self.list(Vec::new())?,
                b')' => self.tuple(Vec::new())?,
                0x85..=0x87 => {
                    let count = usize::from(opcode - 0x84);
                    let start = self
                        .stack
                        .len()
                        .checked_sub(count)
                        .ok_or_else(|| malformed("the stack is empty"))?;
                    let items = self.stack.split_off(start);
                    self.tuple(items)?;
                }
                b't' => {
                    let items = self.after_mark()?;
                    self.tuple(items)?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.append(vec![item])?;
                }
                b'e' => {
                    let items = self.after_mark()?;
                    self.append(items)?;
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.insert(vec![key, value])?;
                }
                b'u' => {
                    let items = self.after_mark()?;
                    self.insert(items)?;
                }
                b'Q' => {
                    let id = self.pop()?;
                    let storage = self.storage(&id)?;
                    self.push(Value::Storage(storage))?;
                }
                b'R' => {
                    let (arguments, function) = (self.pop()?, self.pop()?);
                    self.call(&function, &arguments)?;
                }
                // BUILD sets attributes. State dicts use it for `_metadata`, which isn't needed; the object stays as it is.
                b'b' => {
                    self.pop()?;
                    if !matches!(self.stack.last(), Some(Value::Dict(_))) {
                        return Err(malformed("attributes are set on something that is no dict"));
                    }
                }
                opcode => return Err(FormatError::Opcode { opcode, at }),
            }
        }
    }

    fn take(&mut self, len: usize, what: &str) -> Result<&[u8], FormatError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or_else(|| {
            FormatError::Truncated { what: what.to_owned(), expected: len, got: self.rest.len() }
        })?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], FormatError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    fn line(&mut self) -> Result<String, FormatError> {
        let end = self
            .rest
            .iter()
            .position(|&b| b == b'\n')
            .ok_or_else(|| malformed("a line has no end"))?;
        let line = String::from_utf8_lossy(&self.rest[..end]).into_owned();
        self.rest = &self.rest[end + 1..];
        Ok(line)
    }

    fn text(&mut self, len: usize) -> Result<(), FormatError> {
        let text = std::str::from_utf8(self.take(len, "a text")?)
            .map_err(|_| malformed("a text is no UTF-8"))?;
        let text = text.to_owned();
        self.push(Value::Text(text))
    }

    fn push(&mut self, value: Value) -> Result<(), FormatError> {
        self.made += 1;
        if self.made > MAX_VALUES {
            return Err(malformed("the pickle makes more values than any state dict"));
        }
        self.stack.push(value);
        Ok(())
    }

    fn pop(&mut self) -> Result<Value, FormatError> {
        self.stack.pop().ok_or_else(|| malformed("the stack is empty"))
    }

    fn after_mark(&mut self) -> Result<Vec<Value>, FormatError> {
        let mark = self.marks.pop().filter(|&mark| mark <= self.stack.len());
        Ok(self.stack.split_off(mark.ok_or_else(|| malformed("a mark is missing"))?))
    }

    fn memoize(&mut self, key: u32) -> Result<(), FormatError> {
        let value = self.stack.last().ok_or_else(|| malformed("the stack is empty"))?.clone();
        self.memo.insert(key, value);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Result<(), FormatError> {
        let value =
            self.memo.get(&key).ok_or_else(|| malformed("a memo entry is missing"))?.clone();
        self.push(value)
    }

    fn allocate(&mut self, container: Container) -> Handle {
        self.heap.push(container);
        Handle(self.heap.len() - 1)
    }

    fn dict(&mut self) -> Result<(), FormatError> {
        let handle = self.allocate(Container::Pairs(Vec::new()));
        self.push(Value::Dict(handle))
    }

    fn list(&mut self, items: Vec<Value>) -> Result<(), FormatError> {
        let handle = self.allocate(Container::Items(items));
        self.push(Value::List(handle))
    }

    fn tuple(&mut self, items: Vec<Value>) -> Result<(), FormatError> {
        let handle = self.allocate(Container::Items(items));
        self.push(Value::Tuple(handle))
    }

    fn append(&mut self, more: Vec<Value>) -> Result<(), FormatError> {
        if let Some(Value::List(handle)) = self.stack.last()
            && let Container::Items(items) = &mut self.heap[handle.0]
        {
            items.extend(more);
            return Ok(());
        }
        Err(malformed("something is appended to what is no list"))
    }

    fn insert(&mut self, more: Vec<Value>) -> Result<(), FormatError> {
        if let Some(Value::Dict(handle)) = self.stack.last()
            && let Container::Pairs(pairs) = &mut self.heap[handle.0]
        {
            let mut more = more.into_iter();
            while let (Some(key), Some(value)) = (more.next(), more.next()) {
                pairs.push((key, value));
            }
            return Ok(());
        }
        Err(malformed("something is inserted into what is no dict"))
    }

    fn items(&self, value: &Value) -> Result<&[Value], FormatError> {
        if let Value::Tuple(handle) = value
            && let Container::Items(items) = &self.heap[handle.0]
        {
            return Ok(items);
        }
        Err(malformed("a tuple is expected"))
    }

    /// `("storage", type, key, device, elements)`, in legacy files with a view at the end, which torch has long stopped writing.
    fn storage(&self, id: &Value) -> Result<Storage, FormatError> {
        let [
            Value::Text(tag),
            Value::Global(Global::Storage(kind)),
            Value::Text(key),
            _,
            Value::Int(elements),
            view @ ..,
        ] = self.items(id)?
        else {
            return Err(malformed("a persistent id is no storage"));
        };
        if tag != "storage" || !matches!(view, [] | [Value::None]) {
            return Err(malformed("a persistent id is no plain storage"));
        }
        let elements =
            usize::try_from(*elements).map_err(|_| malformed("a storage has a negative size"))?;
        Ok(Storage { key: key.clone(), kind: *kind, elements })
    }

    fn call(&mut self, function: &Value, arguments: &Value) -> Result<(), FormatError> {
        match function {
            Value::Global(Global::OrderedDict) => {
                if !self.items(arguments)?.is_empty() {
                    return Err(malformed(
                        "an ordered dict with arguments does not occur in state dicts",
                    ));
                }
                self.dict()
            }
            Value::Global(Global::RebuildTensor) => {
                let [Value::Storage(storage), Value::Int(offset), shape, strides, ..] =
                    self.items(arguments)?
                else {
                    return Err(malformed(
                        "a tensor is not rebuilt from a storage, an offset, a shape and strides",
                    ));
                };
                let tensor = Tensor {
                    storage: storage.clone(),
                    offset: usize::try_from(*offset)
                        .map_err(|_| malformed("a tensor has a negative offset"))?,
                    shape: self.sizes(shape)?,
                    strides: self.sizes(strides)?,
                };
                if tensor.shape.len() != tensor.strides.len() {
                    return Err(malformed("a tensor's shape and strides differ in length"));
                }
                self.push(Value::Tensor(tensor))
            }
            Value::Global(Global::RebuildParameter) => {
                let [Value::Tensor(tensor), ..] = self.items(arguments)? else {
                    return Err(malformed("a parameter is not rebuilt from a tensor"));
                };
                let tensor = tensor.clone();
                self.push(Value::Tensor(tensor))
            }
            _ => Err(malformed("the pickle calls what is no function")),
        }
    }

    fn sizes(&self, value: &Value) -> Result<Vec<usize>, FormatError> {
        self.items(value)?
            .iter()
            .map(|item| match item {
                Value::Int(size) => {
                    usize::try_from(*size).map_err(|_| malformed("a size is negative"))
                }
                _ => Err(malformed("a size is no integer")),
            })
            .collect()
    }
}

fn global(module: &str, name: &str) -> Result<Global, FormatError> {
    let kind = |kind| Ok(Global::Storage(kind));
    match (module, name) {
        ("collections", "OrderedDict") => Ok(Global::OrderedDict),
        ("torch._utils", "_rebuild_tensor_v2") => Ok(Global::RebuildTensor),
        ("torch._utils", "_rebuild_parameter") => Ok(Global::RebuildParameter),
        ("torch", "HalfStorage") => kind(Kind::F16),
        ("torch", "BFloat16Storage") => kind(Kind::Bf16),
        ("torch", "FloatStorage") => kind(Kind::F32),
        ("torch", "DoubleStorage") => kind(Kind::F64),
        ("torch", "LongStorage") => kind(Kind::Integer(8)),
        ("torch", "IntStorage") => kind(Kind::Integer(4)),
        ("torch", "ShortStorage") => kind(Kind::Integer(2)),
        ("torch", "CharStorage" | "ByteStorage" | "BoolStorage") => kind(Kind::Integer(1)),
        _ => Err(FormatError::Global(format!("{module}.{name}"))),
    }
}

fn integer(bytes: &[u8]) -> Value {
    if bytes.len() > 8 {
        return Value::Long(bytes.to_vec());
    }
    let negative = bytes.last().is_some_and(|&b| b >= 128);
    let mut raw = [if negative { 255 } else { 0 }; 8];
    raw[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(raw))
}

fn malformed(what: &str) -> FormatError {
    FormatError::Malformed(format!("pickle: {what}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(mut bytes: &[u8]) -> Result<Pickle, FormatError> {
        Pickle::read(&mut bytes)
    }

    #[test]
    fn a_call_into_the_system_is_refused_by_name() {
        // pickle.dumps of an object whose __reduce__ is (os.system, ("true",)), protocol 2.
        let error =
            read(b"\x80\x02cposix\nsystem\nq\x00X\x04\x00\x00\x00trueq\x01\x85q\x02Rq\x03.")
                .unwrap_err();
        assert!(matches!(&error, FormatError::Global(name) if name == "posix.system"), "{error}");
        for bytes in
            [b"\x80\x02cbuiltins\neval\n.".as_slice(), b"\x80\x04\x8c\x08builtins\x8c\x04exec\x93."]
        {
            assert!(matches!(read(bytes), Err(FormatError::Global(_))));
        }
    }

    #[test]
    fn instructions_outside_state_dicts_are_refused() {
        // INST, OBJ, NEWOBJ, EXT1, PERSID, BINBYTES.
        for opcode in [b'i', b'o', 0x81, 0x82, b'P', b'B'] {
            let error = read(&[0x80, 2, opcode]).unwrap_err();
            assert!(matches!(error, FormatError::Opcode { at: 2, .. }), "{error}");
        }
    }

    #[test]
    fn integers_have_pythons_values() {
        // pickle.dumps([-1, 255, 256, -2**31, 2**40, -2**63], protocol=2) by CPython 3.11.
        let bytes = b"\x80\x02]q\x00(J\xff\xff\xff\xffK\xffM\x00\x01J\x00\x00\x00\x80\x8a\x06\x00\x00\x00\x00\x00\x01\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80e.";
        let pickle = read(bytes).unwrap();
        let expected = [-1, 255, 256, -(1 << 31), 1 << 40, i64::MIN].map(Value::Int);
        assert_eq!(pickle.items(&pickle.value).unwrap(), expected);
    }

    #[test]
    fn deep_nesting_is_harmless() {
        let mut bytes = vec![b'N'];
        bytes.extend(std::iter::repeat_n(0x85, 1_000_000));
        bytes.push(b'.');
        assert!(read(&bytes).is_ok());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }

        #[test]
        fn no_instructions_panic(bytes in prop::collection::vec(prop::sample::select(b"(.01N\x88KMXcq\x94hj}])\x85\x86\x87taesuQRb\x8c\x93\x00\x01\n".as_slice()), 0..80)) {
            let _ = read(&bytes);
        }
    }
}
