//! Images, weights, backbones and features.
