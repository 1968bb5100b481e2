//! A graph that grows node by node, so that it is always in the order that ONNX asks for.
//!
//! Source: ONNX's IR.md, "Graphs" (names are unique, nodes in topological order). What was said already isn't
//! said twice: the same numbers or the same node give the value that is there, hence classes that
//! share a scaler share its nodes.

use super::messages::{
    AttributeProto, AttributeType, DataType, Dimension, DimensionProto, GraphProto, NodeProto,
    OperatorSetIdProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};

/// Whose operator it is, with the version of the set that is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operators {
    /// ONNX's own.
    Standard,
    /// `ai.onnx.ml`: classical machine learning.
    MachineLearning,
}

impl Operators {
    /// Both sets.
    const ALL: [Self; 2] = [Self::Standard, Self::MachineLearning];

    fn domain(self) -> &'static str {
        match self {
            Self::Standard => "",
            Self::MachineLearning => "ai.onnx.ml",
        }
    }

    /// The sets of ONNX 1.12, the last of IR version 8. Trees have had double thresholds since version 3.
    fn version(self) -> i64 {
        match self {
            Self::Standard => 17,
            Self::MachineLearning => 3,
        }
    }
}

/// A value of a graph. Only the graph makes them, so a node can't read what isn't there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value(String);

/// A graph from one input of rows to one output of columns.
#[derive(Debug)]
pub(super) struct Graph {
    proto: GraphProto,
    taken: Vec<String>,
}

impl Graph {
    /// A graph with nothing in it but its input, `[N, columns]` of float32.
    pub(super) fn new(name: &str, input: &str, columns: usize, doc: &str) -> (Self, Value) {
        let proto = GraphProto {
            name: name.to_owned(),
            input: vec![rows_of_floats(input, columns, doc)],
            ..Default::default()
        };
        let graph = Self { proto, taken: vec![input.to_owned()] };
        (graph, Value(input.to_owned()))
    }

    /// A tensor of doubles, `values.len()` the product of `dims`.
    pub(super) fn initializer(&mut self, name: &str, dims: &[usize], values: &[f64]) -> Value {
        let mut tensor = doubles(dims, values);
        let known = |other: &&TensorProto| {
            other.dims == tensor.dims
                && other.data_type == tensor.data_type
                && other.raw_data == tensor.raw_data
        };
        if let Some(other) = self.proto.initializer.iter().find(known) {
            return Value(other.name.clone());
        }
        tensor.name = self.free(name);
        let value = Value(tensor.name.clone());
        self.proto.initializer.push(tensor);
        value
    }

    /// What a standard operator makes of values.
    pub(super) fn node(
        &mut self,
        name: &str,
        operator: &str,
        inputs: &[&Value],
        attributes: Vec<AttributeProto>,
    ) -> Value {
        self.node_of(Operators::Standard, name, operator, inputs, attributes)
    }

    /// What an operator of either set makes of values.
    pub(super) fn node_of(
        &mut self,
        operators: Operators,
        name: &str,
        operator: &str,
        inputs: &[&Value],
        attributes: Vec<AttributeProto>,
    ) -> Value {
        let mut node = NodeProto {
            input: inputs.iter().map(|value| value.0.clone()).collect(),
            op_type: operator.to_owned(),
            domain: operators.domain().to_owned(),
            attribute: attributes,
            ..Default::default()
        };
        let known = |other: &&NodeProto| {
            other.op_type == node.op_type
                && other.domain == node.domain
                && other.input == node.input
                && other.attribute == node.attribute
        };
        if let Some(other) = self.proto.node.iter().find(known) {
            return Value(other.output[0].clone());
        }
        node.name = self.free(name);
        node.output = vec![node.name.clone()];
        let value = Value(node.name.clone());
        self.proto.node.push(node);
        value
    }

    /// Numbers of another type.
    pub(super) fn cast(&mut self, name: &str, value: &Value, to: DataType) -> Value {
        self.node(name, "Cast", &[value], vec![int("to", i64::from(i32::from(to)))])
    }

    /// The finished graph with its one output, `[N, columns]` of float32, and the operator sets in use.
    pub(super) fn finish(
        mut self,
        output: &Value,
        columns: usize,
        doc: &str,
    ) -> (GraphProto, Vec<OperatorSetIdProto>) {
        self.proto.output = vec![rows_of_floats(&output.0, columns, doc)];
        let used = |operators: &Operators| {
            self.proto.node.iter().any(|node| node.domain == operators.domain())
        };
        let sets = Operators::ALL.into_iter().filter(used).map(|operators| OperatorSetIdProto {
            domain: operators.domain().to_owned(),
            version: operators.version(),
        });
        let sets = sets.collect();
        (self.proto, sets)
    }

    fn free(&mut self, name: &str) -> String {
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        let free = std::iter::once(name.to_owned())
            .chain(numbered)
            .find(|name| !self.taken.contains(name))
            .expect("there are more numbers than names");
        self.taken.push(free.clone());
        free
    }
}

/// A whole number that an operator is told.
pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { i: Some(value), ..attribute(name, AttributeType::Int) }
}

/// Whole numbers that an operator is told.
pub(super) fn ints(name: &str, values: impl IntoIterator<Item = i64>) -> AttributeProto {
    AttributeProto { ints: values.into_iter().collect(), ..attribute(name, AttributeType::Ints) }
}

/// A word that an operator is told.
pub(super) fn string(name: &str, value: &str) -> AttributeProto {
    AttributeProto { s: Some(value.into()), ..attribute(name, AttributeType::String) }
}

/// Words that an operator is told.
pub(super) fn strings<'a>(name: &str, values: impl IntoIterator<Item = &'a str>) -> AttributeProto {
    AttributeProto {
        strings: values.into_iter().map(|value| value.as_bytes().to_vec()).collect(),
        ..attribute(name, AttributeType::Strings)
    }
}

/// A list of doubles that an operator is told.
pub(super) fn tensor(name: &str, values: &[f64]) -> AttributeProto {
    let tensor = TensorProto { name: name.to_owned(), ..doubles(&[values.len()], values) };
    AttributeProto { t: Some(tensor), ..attribute(name, AttributeType::Tensor) }
}

fn attribute(name: &str, r#type: AttributeType) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: r#type.into(), ..Default::default() }
}

fn doubles(dims: &[usize], values: &[f64]) -> TensorProto {
    debug_assert_eq!(dims.iter().product::<usize>(), values.len());
    TensorProto {
        dims: dims.iter().map(|&dim| dim as i64).collect(),
        data_type: DataType::Double.into(),
        name: String::new(),
        raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
    }
}

fn rows_of_floats(name: &str, columns: usize, doc: &str) -> ValueInfoProto {
    let dimensions = [Dimension::Param("N".to_owned()), Dimension::Value(columns as i64)];
    let dim = dimensions.map(|value| DimensionProto { value: Some(value) }).to_vec();
    let tensor_type = TensorTypeProto {
        elem_type: DataType::Float.into(),
        shape: Some(TensorShapeProto { dim }),
    };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto { tensor_type: Some(tensor_type) }),
        doc_string: doc.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_there_once_and_names_are_distinct() {
        let (mut graph, x) = Graph::new("g", "x", 2, "rows");
        let one = graph.initializer("mean", &[2], &[1.0, 2.0]);
        assert_eq!(graph.initializer("mean", &[2], &[1.0, 2.0]), one);
        let other = graph.initializer("mean", &[2], &[1.0, 3.0]);
        assert_ne!(other, one);
        assert_ne!(graph.initializer("column", &[2, 1], &[1.0, 2.0]), one);
        let less = graph.node("x", "Sub", &[&x, &one], vec![]);
        assert_ne!(less, x, "the input's name is taken");
        assert_eq!(graph.node("y", "Sub", &[&x, &one], vec![]), less);
        assert_ne!(graph.node("x", "Sub", &[&x, &other], vec![]), less);
        let (first, second) = (vec![int("axis", 0)], vec![int("axis", 1)]);
        let first = graph.node("c", "Concat", &[&less], first);
        assert_ne!(graph.node("c", "Concat", &[&less], second), first);
        let (proto, sets) = graph.finish(&first, 2, "columns");
        let mut names: Vec<&str> = proto.node.iter().map(|node| node.name.as_str()).collect();
        assert_eq!((names.len(), proto.initializer.len()), (4, 3));
        names.dedup();
        assert_eq!(names, ["x_2", "x_3", "c", "c_2"]);
        assert_eq!(sets, [OperatorSetIdProto { domain: String::new(), version: 17 }]);
    }
}
