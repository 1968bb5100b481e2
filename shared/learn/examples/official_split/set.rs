//! A set with an official split: images to tune and fit on apart from images to judge on.

use std::error::Error;

/// Images of a set, by what the official split allows.
#[derive(Debug, Clone, PartialEq)]
pub struct OfficialSplit {
    /// `train` and `val`, in the manifest's order.
    pub training: Vec<Image>,
    /// `test`, in the manifest's order.
    pub test: Vec<Image>,
}

/// An image with its features.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Where the manifest says it is; it names the image.
    pub path: String,
    /// Whether its label is 1.
    pub positive: bool,
    /// What a backbone made of it.
    pub features: Vec<f64>,
}

impl OfficialSplit {
    /// Reads a manifest and the features of its images: little-endian `f32`, image by image in the
    /// order of their paths, all of one folder.
    ///
    /// # Errors
    /// A column, label or split that isn't known, or features that don't divide by the images.
    pub fn read(manifest: &[u8], features: &[u8]) -> Result<Self, Box<dyn Error>> {
        let mut reader = csv::Reader::from_reader(manifest);
        let header = reader.headers()?.clone();
        let column = |name: &str| {
            let at = header.iter().position(|column| column == name);
            at.ok_or(format!("the manifest has no column {name}"))
        };
        let (path, label, split) = (column("path")?, column("label")?, column("split")?);
        let records = reader.records().collect::<Result<Vec<_>, _>>()?;

        let mut by_path: Vec<usize> = (0..records.len()).collect();
        by_path.sort_by_key(|&at| &records[at][path]);
        if let Some(twice) = by_path.windows(2).find(|w| records[w[0]][path] == records[w[1]][path])
        {
            return Err(format!("{} is listed twice", &records[twice[0]][path]).into());
        }
        let (images, bytes) = (records.len(), features.len());
        let row = bytes / images.max(1);
        if row == 0 || row * images != bytes || row % 4 != 0 {
            return Err(format!("{bytes} bytes of features don't divide by {images} images").into());
        }
        let mut features_of: Vec<&[u8]> = vec![&[]; images];
        for (&at, features) in by_path.iter().zip(features.chunks_exact(row)) {
            features_of[at] = features;
        }

        let mut set = Self { training: Vec::new(), test: Vec::new() };
        for (record, features) in records.iter().zip(features_of) {
            let part = match &record[split] {
                "train" | "val" => &mut set.training,
                "test" => &mut set.test,
                other => return Err(format!("expected train, val or test, got {other}").into()),
            };
            let positive = match &record[label] {
                "0" => false,
                "1" => true,
                other => return Err(format!("expected label 0 or 1, got {other}").into()),
            };
            let number = |b: &[u8]| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            let features = features.chunks_exact(4).map(number).collect();
            part.push(Image { path: record[path].to_owned(), positive, features });
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(rows: &[[f32; 2]]) -> Vec<u8> {
        rows.iter().flatten().flat_map(|value| value.to_le_bytes()).collect()
    }

    #[test]
    fn features_come_in_the_order_of_paths_and_images_in_the_manifests() {
        let manifest = "path,label,split\nb,1,train\na,0,test\nd,1,val\nc,1,test\n";
        let features = bytes(&[[0.0, 0.5], [1.0, 1.5], [2.0, 2.5], [3.0, 3.5]]);
        let set = OfficialSplit::read(manifest.as_bytes(), &features).unwrap();
        let image = |path: &str, positive, first: f64| Image {
            path: path.to_owned(),
            positive,
            features: vec![first, first + 0.5],
        };
        assert_eq!(set.training, [image("b", true, 1.0), image("d", true, 3.0)]);
        assert_eq!(set.test, [image("a", false, 0.0), image("c", true, 2.0)]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let read = |manifest: &str, rows: &[[f32; 2]]| {
            OfficialSplit::read(manifest.as_bytes(), &bytes(rows)).unwrap_err().to_string()
        };
        let two = [[0.0; 2]; 2];
        for (manifest, rows, expected) in [
            ("path,label\na,1\n", &two[..1], "the manifest has no column split"),
            ("path,label,split\na,1,train\na,1,test\n", &two, "a is listed twice"),
            ("path,label,split\na,1,dev\n", &two[..1], "expected train, val or test, got dev"),
            ("path,label,split\na,2,val\n", &two[..1], "expected label 0 or 1, got 2"),
            ("path,label,split\n", &two, "16 bytes of features don't divide by 0 images"),
            (
                "path,label,split\na,1,val\nb,1,val\nc,1,val\n",
                &two,
                "16 bytes of features don't divide by 3 images",
            ),
        ] {
            assert_eq!(read(manifest, rows), expected);
        }
    }
}
