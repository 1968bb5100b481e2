//! The messages of an ONNX file that a classifier needs, with their field numbers.
//!
//! Source: `onnx.proto` of ONNX 1.12, IR version 8
//! (<https://github.com/onnx/onnx/blob/v1.12.0/onnx/onnx.proto>), described in IR.md. Departures: fields that
//! are never written are left out, so that a reader of ours would drop them; dimensions are the only
//! `oneof` besides types, whose single variant here is a tensor.

use prost::{Enumeration, Message, Oneof};

/// A whole file.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ModelProto {
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    #[prost(string, tag = "2")]
    pub producer_name: String,
    #[prost(string, tag = "3")]
    pub producer_version: String,
    #[prost(string, tag = "6")]
    pub doc_string: String,
    #[prost(message, optional, tag = "7")]
    pub graph: Option<GraphProto>,
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSetIdProto>,
    #[prost(message, repeated, tag = "14")]
    pub metadata_props: Vec<StringStringEntryProto>,
}

/// Operators of a domain; the empty domain is ONNX's own.
#[derive(Clone, PartialEq, Message)]
pub(super) struct OperatorSetIdProto {
    #[prost(string, tag = "1")]
    pub domain: String,
    #[prost(int64, tag = "2")]
    pub version: i64,
}

/// A key and its text.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StringStringEntryProto {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

/// Nodes in an order in which each comes after those that it reads from.
#[derive(Clone, PartialEq, Message)]
pub(super) struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeProto>,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfoProto>,
}

/// An operator with the names of what goes in and out.
#[derive(Clone, PartialEq, Message)]
pub(super) struct NodeProto {
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(string, tag = "4")]
    pub op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<AttributeProto>,
    #[prost(string, tag = "7")]
    pub domain: String,
}

/// What an operator is told beside its inputs; `r#type` says which field counts.
#[derive(Clone, PartialEq, Message)]
pub(super) struct AttributeProto {
    #[prost(string, tag = "1")]
    pub name: String,
    // Optional, as readers of proto2 tell a 0 from nothing.
    #[prost(int64, optional, tag = "3")]
    pub i: Option<i64>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub s: Option<Vec<u8>>,
    #[prost(message, optional, tag = "5")]
    pub t: Option<TensorProto>,
    // ONNX declares its own lists in proto2's way, one field per entry.
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub ints: Vec<i64>,
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub strings: Vec<Vec<u8>>,
    #[prost(enumeration = "AttributeType", tag = "20")]
    pub r#type: i32,
}

/// Which field of an attribute counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub(super) enum AttributeType {
    Undefined = 0,
    Int = 2,
    String = 3,
    Tensor = 4,
    Ints = 7,
    Strings = 8,
}

/// Numbers with a shape; `raw_data` is little-endian, row by row.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorProto {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub dims: Vec<i64>,
    #[prost(enumeration = "DataType", tag = "2")]
    pub data_type: i32,
    #[prost(string, tag = "8")]
    pub name: String,
    #[prost(bytes = "vec", tag = "9")]
    pub raw_data: Vec<u8>,
}

/// The type of a tensor's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub(super) enum DataType {
    Undefined = 0,
    Float = 1,
    Bool = 9,
    Double = 11,
}

/// An input or output of the graph.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ValueInfoProto {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<TypeProto>,
    #[prost(string, tag = "3")]
    pub doc_string: String,
}

/// The type of an input or output.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TypeProto {
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorTypeProto>,
}

/// `TypeProto.Tensor`: type and shape of a tensor.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorTypeProto {
    #[prost(enumeration = "DataType", tag = "1")]
    pub elem_type: i32,
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShapeProto>,
}

/// A shape.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorShapeProto {
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<DimensionProto>,
}

/// `TensorShapeProto.Dimension`: one dimension.
#[derive(Clone, PartialEq, Message)]
pub(super) struct DimensionProto {
    #[prost(oneof = "Dimension", tags = "1, 2")]
    pub value: Option<Dimension>,
}

/// A dimension's length, or the name of a length that is known when the model runs.
#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Dimension {
    #[prost(int64, tag = "1")]
    Value(i64),
    #[prost(string, tag = "2")]
    Param(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor() -> TensorProto {
        TensorProto {
            dims: vec![2, 1],
            data_type: DataType::Double.into(),
            name: "w".into(),
            raw_data: [1.5f64, f64::NAN].iter().flat_map(|x| x.to_le_bytes()).collect(),
        }
    }

    fn model() -> ModelProto {
        let attribute = |name: &str, r#type: AttributeType| AttributeProto {
            name: name.into(),
            r#type: r#type.into(),
            ..Default::default()
        };
        let dimension = |value| DimensionProto { value: Some(value) };
        let shape = TensorShapeProto {
            dim: vec![dimension(Dimension::Param("N".into())), dimension(Dimension::Value(2))],
        };
        let tensor_type = TensorTypeProto { elem_type: DataType::Float.into(), shape: Some(shape) };
        let value = |name: &str| ValueInfoProto {
            name: name.into(),
            r#type: Some(TypeProto { tensor_type: Some(tensor_type.clone()) }),
            doc_string: "rows".into(),
        };
        let node = NodeProto {
            input: vec!["x".into(), "w".into()],
            output: vec!["y".into()],
            name: "n".into(),
            op_type: "Gemm".into(),
            attribute: vec![
                AttributeProto { i: Some(0), ..attribute("axis", AttributeType::Int) },
                AttributeProto {
                    s: Some(b"SUM".to_vec()),
                    ..attribute("a", AttributeType::String)
                },
                AttributeProto { t: Some(tensor()), ..attribute("t", AttributeType::Tensor) },
                AttributeProto { ints: vec![-1, 0, 300], ..attribute("is", AttributeType::Ints) },
                AttributeProto {
                    strings: vec![b"LEAF".to_vec(), vec![]],
                    ..attribute("ss", AttributeType::Strings)
                },
            ],
            domain: "ai.onnx.ml".into(),
        };
        ModelProto {
            ir_version: 8,
            producer_name: "p".into(),
            producer_version: "1".into(),
            doc_string: "d".into(),
            graph: Some(GraphProto {
                node: vec![node],
                name: "g".into(),
                initializer: vec![tensor()],
                input: vec![value("x")],
                output: vec![value("y")],
            }),
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 17 }],
            metadata_props: vec![StringStringEntryProto { key: "k".into(), value: "é".into() }],
        }
    }

    #[test]
    fn every_message_reads_back() {
        let model = model();
        let read = ModelProto::decode(model.encode_to_vec().as_slice()).unwrap();
        assert_eq!(read, model);
    }

    #[test]
    fn fields_are_written_under_onnx_numbers() {
        // Encoded by the onnx package's own classes:
        // helper.make_attribute("axis", 0).SerializeToString() and
        // helper.make_attribute("is", [-1, 300]).SerializeToString().
        let axis = AttributeProto {
            name: "axis".into(),
            i: Some(0),
            r#type: AttributeType::Int.into(),
            ..Default::default()
        };
        assert_eq!(hex::encode(axis.encode_to_vec()), AXIS);
        let list = AttributeProto {
            name: "is".into(),
            ints: vec![-1, 300],
            r#type: AttributeType::Ints.into(),
            ..Default::default()
        };
        assert_eq!(hex::encode(list.encode_to_vec()), LIST);
        // helper.make_tensor("w", TensorProto.DOUBLE, [1, 1], struct.pack("<d", 1.5), raw=True)
        let mut tensor = tensor();
        tensor.raw_data = 1.5f64.to_le_bytes().to_vec();
        tensor.dims = vec![1, 1];
        assert_eq!(hex::encode(tensor.encode_to_vec()), TENSOR);
    }

    const AXIS: &str = "0a04617869731800a00102";
    const LIST: &str = "0a02697340ffffffffffffffffff0140ac02a00107";
    const TENSOR: &str = "08010801100b4201774a08000000000000f83f";
}
