//! The wire: protocol buffers, generated code, conversions and status codes.
