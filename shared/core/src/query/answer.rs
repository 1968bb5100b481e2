//! What a question is to be answered with: the blocks of numbers and their scales, how many numbers the
//! disclosure rules count, and a word for the ledger.

use super::*;

impl Query {
    /// Number of cells of a split.
    pub fn cells(&self, split: &[Column]) -> usize {
        split
            .iter()
            .map(|column| match column {
                Column::Site => self.sites.len(),
                Column::Fold { .. } => usize::from(self.folds.folds),
                Column::Subgroup(at) => {
                    self.schema.levels.get(usize::from(*at)).map_or(0, |&n| usize::from(n))
                }
                Column::Class => usize::from(self.schema.classes),
            })
            .product()
    }

    /// How many rows each cell has, where those by class may add up to more.
    fn rows_beside_classes(&self, cells: usize) -> Option<BlockSpec> {
        (self.schema.labelling == Labelling::Multi).then(|| BlockSpec::count("rows", &[cells]))
    }

    /// The blocks of the answer: their names, shapes and scales.
    pub fn layout(&self) -> Vec<BlockSpec> {
        let d = self.schema.features as usize;
        let classes = usize::from(self.schema.classes);
        let triangle = (d + 1) * (d + 2) / 2;
        match &self.ask {
            Ask::Profile { split } => {
                let cells = self.cells(split);
                let mut blocks = vec![
                    BlockSpec::count("patients", &[cells]),
                    BlockSpec::count("patients_by_class", &[cells, classes]),
                    BlockSpec::count("rows_by_class", &[cells, classes]),
                ];
                blocks.extend(self.rows_beside_classes(cells));
                if !self.schema.judged.is_row() {
                    blocks.extend([
                        BlockSpec::count("judged_patients", &[cells]),
                        BlockSpec::count("judged_patients_by_class", &[cells, classes]),
                        BlockSpec::count("judged_by_class", &[cells, classes]),
                        BlockSpec::count("judged", &[cells]),
                        BlockSpec::count("judged_rows", &[cells]),
                        BlockSpec::count("mixed", &[cells, 2]),
                    ]);
                }
                blocks
            }
            Ask::Moments { split, bits, .. } => {
                let cells = self.cells(split);
                vec![
                    BlockSpec::count("n", &[cells, d]),
                    BlockSpec::count("rows", &[cells]),
                    BlockSpec::fraction("sum", &[cells, d], *bits),
                    BlockSpec::fraction("squares", &[cells, d], *bits),
                ]
            }
            Ask::Gram { bits, .. } => vec![BlockSpec::fraction("gram", &[triangle], *bits)],
            Ask::Logistic { terms, derivatives, bits, .. }
            | Ask::SquaredHinge { terms, derivatives, bits, .. } => {
                let m = terms.len();
                let mut blocks = vec![
                    BlockSpec::fraction("loss", &[m], *bits),
                    BlockSpec::fraction("gradient", &[m, d + 1], *bits),
                ];
                if *derivatives == Derivatives::Hessian {
                    blocks.push(BlockSpec::fraction("hessian", &[m, triangle], *bits));
                }
                blocks
            }
            Ask::ClassGram { terms, bits, .. } => vec![
                BlockSpec::fraction("gram", &[terms.len(), triangle], *bits),
                BlockSpec::fraction("sums", &[terms.len(), classes, d + 1], *bits),
            ],
            Ask::Stack { terms, bits, .. } => {
                let columns = || terms.iter().map(|term| term.weights.len() + 1);
                let triangles = columns().map(|n| n * (n + 1) / 2).sum();
                vec![
                    BlockSpec::fraction("loss", &[terms.len()], *bits),
                    BlockSpec::fraction("gradient", &[columns().sum()], *bits),
                    BlockSpec::fraction("hessian", &[triangles], *bits),
                ]
            }
            Ask::OwnForests { terms, .. } => {
                let sites = self.sites.len();
                let each: usize = terms.iter().map(OwnForestTerm::numbers_per_site).sum();
                vec![
                    BlockSpec::count("patients", &[terms.len(), sites]),
                    BlockSpec::count("nodes", &[sites * each]),
                ]
            }
            Ask::FeatureRows { rows: [first, end], precision } => {
                let n = end.saturating_sub(*first) as usize;
                let features: &[usize] = match precision {
                    RowPrecision::Single => &[n, d],
                    RowPrecision::Double => &[n, d, 2],
                };
                let mut blocks = vec![
                    BlockSpec::count("patients", &[n]),
                    BlockSpec::count("classes", &[n]),
                    BlockSpec::count("levels", &[n, self.schema.levels.len()]),
                    BlockSpec::count("features", features),
                ];
                if self.schema.weighting == Weighting::Given {
                    blocks.push(BlockSpec::count("weights", &[n, 2]));
                }
                if let JudgedUnit::Exam(_) = self.schema.judged {
                    blocks.push(BlockSpec::count("exams", &[n]));
                }
                blocks
            }
            Ask::FourierHinge { terms, bits, .. } => {
                let numbers = terms.iter().map(|term| term.weights.len() + 1).sum();
                vec![
                    BlockSpec::fraction("loss", &[terms.len()], *bits),
                    BlockSpec::fraction("gradient", &[numbers], *bits),
                ]
            }
            Ask::Softmax { terms, derivatives, bits, .. } => {
                let (m, coefficients) = (terms.len(), classes * (d + 1));
                let mut blocks = vec![
                    BlockSpec::fraction("loss", &[m], *bits),
                    BlockSpec::fraction("gradient", &[m, classes, d + 1], *bits),
                ];
                if *derivatives == Derivatives::Hessian {
                    let triangle = coefficients * (coefficients + 1) / 2;
                    blocks.push(BlockSpec::fraction("hessian", &[m, triangle], *bits));
                }
                blocks
            }
            Ask::Grid { split, columns: [first, end], .. } => {
                let (cells, columns) = (self.cells(split), end.saturating_sub(*first) as usize);
                let mut blocks = vec![BlockSpec::count("rows_by_class", &[cells, classes])];
                blocks.extend(self.rows_beside_classes(cells));
                blocks.push(BlockSpec::count("steps", &[cells, columns, GRID_STEPS]));
                blocks
            }
            Ask::Trees { cuts, terms, bits, .. } => {
                let numbers = terms.iter().map(|term| term.numbers(cuts)).sum();
                vec![
                    BlockSpec::fraction("gradients", &[numbers], *bits),
                    BlockSpec::fraction("hessians", &[numbers], *bits),
                    BlockSpec::fraction("patients", &[numbers], PATIENT_BITS),
                ]
            }
            Ask::Scores { lists, split, bins, bits, .. } => {
                let (m, cells, bins) = (lists.len(), self.cells(split), bins.count as usize);
                vec![
                    BlockSpec::count("positives", &[m, cells, bins]),
                    BlockSpec::count("negatives", &[m, cells, bins]),
                    BlockSpec::fraction("brier", &[m, cells], *bits),
                    BlockSpec::fraction("log_loss", &[m, cells], *bits),
                    BlockSpec::count("calibration_rows", &[m, cells, CALIBRATION_BINS, 2]),
                    BlockSpec::fraction("calibration_scores", &[m, cells, CALIBRATION_BINS], *bits),
                ]
            }
            Ask::Bootstrap { lists, bins, pairs, replicates, .. } => {
                let shape = [lists.len(), usize::from(*replicates), 2];
                let [m, r, halves] = shape;
                let binned = [m, r, halves, bins.count as usize];
                match pairs {
                    Pairs::WithinSites => {
                        vec![BlockSpec::count("won", &shape), BlockSpec::count("pairs", &shape)]
                    }
                    Pairs::AllSites => vec![
                        BlockSpec::count("positives", &binned),
                        BlockSpec::count("negatives", &binned),
                    ],
                }
            }
            Ask::OwnSite { lists, bins, bits, .. } => {
                own_site::layout(self, lists.len(), bins, *bits)
            }
            Ask::OwnModels => vec![BlockSpec::count("allowed", &[self.sites.len()])],
            Ask::Distances { split, bins, .. } => {
                vec![BlockSpec::count("rows", &self.binned(split, bins))]
            }
            Ask::Marked(_) => self.stands_for().layout(),
            Ask::MarksAllowed { marks } => {
                vec![BlockSpec::count("allowed", &[self.sites.len(), marks.len()])]
            }
            Ask::Agreement { split, influences, bits } => {
                agreement::layout(self, split, influences, *bits)
            }
            Ask::Calls { lists, split, replicates, .. } => {
                calls::layout(self, lists.len(), split, *replicates)
            }
            Ask::Resampled { lists, split, replicates, bits, .. } => {
                resampled::layout(self, lists.len(), split, *replicates, *bits)
            }
            Ask::Placements { lists, split, bits, .. } => {
                let (m, cells) = (lists.len(), self.cells(split));
                vec![
                    BlockSpec::count("patients", &[m, cells, 2]),
                    BlockSpec::fraction("s10", &[m, cells], *bits),
                    BlockSpec::fraction("s01", &[m, cells], *bits),
                    BlockSpec::fraction("s11", &[m, cells], *bits),
                ]
            }
        }
    }

    /// What it is for the disclosure rules.
    pub fn kind(&self) -> AskKind {
        match &self.ask {
            // Counts by fold are never shown.
            Ask::Profile { split }
                if !split.iter().any(|column| matches!(column, Column::Fold { .. })) =>
            {
                AskKind::Table
            }
            Ask::Marked(_) => self.stands_for().kind(),
            Ask::Agreement { .. } => AskKind::Table,
            _ => AskKind::Training,
        }
    }

    /// How many numbers it asks for per model: what the rule on wide sums compares with the number
    /// of patients. Sums over features count the coefficients they determine (DataSHIELD's
    /// nfilter.glm), histograms their bins.
    pub fn numbers_per_model(&self) -> u64 {
        let d = u64::from(self.schema.features);
        match &self.ask {
            Ask::Profile { .. }
            | Ask::Placements { .. }
            | Ask::OwnModels
            | Ask::MarksAllowed { .. }
            | Ask::Agreement { .. }
            | Ask::Bootstrap { pairs: Pairs::WithinSites, .. } => 0,
            Ask::Marked(_) => self.stands_for().numbers_per_model(),
            Ask::Stack { terms, .. } => {
                terms.iter().map(|term| term.weights.len() as u64 + 1).max().unwrap_or(0)
            }
            // Every class by every call.
            Ask::Calls { .. } => u64::from(self.schema.classes).pow(2),
            // Consent to rows and to models of one site is asked for by itself.
            Ask::FeatureRows { .. } | Ask::OwnForests { .. } => 0,
            // Moments of a class of one patient are that patient's features.
            Ask::Moments { split, .. } if split.contains(&Column::Class) => {
                d * u64::from(self.schema.classes)
            }
            Ask::Moments { .. } => d,
            Ask::Gram { .. } | Ask::Logistic { .. } | Ask::SquaredHinge { .. } => d + 1,
            // The sum of a class of one patient is that patient's features.
            Ask::ClassGram { .. } | Ask::Softmax { .. } => (d + 1) * u64::from(self.schema.classes),
            Ask::FourierHinge { terms, .. } => {
                terms.iter().map(|term| term.weights.len() as u64 + 1).max().unwrap_or(0)
            }
            Ask::Scores { bins, .. }
            | Ask::Bootstrap { bins, .. }
            | Ask::Resampled { bins, .. }
            | Ask::OwnSite { bins, .. } => 2 * u64::from(bins.count),
            Ask::Distances { bins, .. } => u64::from(bins.count),
            Ask::Grid { columns: [first, end], .. } => {
                u64::from(end.saturating_sub(*first)) * GRID_STEPS as u64
            }
            Ask::Trees { cuts, terms, .. } => {
                terms.iter().map(|term| term.numbers_per_node(cuts) as u64).max().unwrap_or(0)
            }
        }
    }

    /// All numbers of the answer.
    pub fn numbers(&self) -> u64 {
        self.layout().iter().map(|block| block.len() as u64).sum()
    }

    /// A short word for logs and the ledger.
    pub fn name(&self) -> &'static str {
        match self.ask {
            Ask::Profile { .. } => "profile",
            Ask::Moments { .. } => "moments",
            Ask::Gram { .. } => "gram",
            Ask::Logistic { derivatives: Derivatives::Gradient, .. } => "logistic gradient",
            Ask::Logistic { derivatives: Derivatives::Hessian, .. } => "logistic hessian",
            Ask::SquaredHinge { derivatives: Derivatives::Gradient, .. } => "hinge gradient",
            Ask::SquaredHinge { derivatives: Derivatives::Hessian, .. } => "hinge hessian",
            Ask::Scores { .. } => "scores",
            Ask::Placements { .. } => "placements",
            Ask::Grid { .. } => "grid",
            Ask::ClassGram { .. } => "class gram",
            Ask::Trees { .. } => "tree histograms",
            Ask::Bootstrap { .. } => "bootstrap",
            Ask::Resampled { draws: Draws::Patients, .. } => RESAMPLED_PATIENTS,
            Ask::Resampled { draws: Draws::Levels(_) | Draws::Cells, .. } => "shuffled subgroups",
            Ask::Agreement { .. } => "agreement of readers",
            Ask::Calls { .. } => "calls by class",
            Ask::FourierHinge { .. } => "fourier hinge gradient",
            Ask::FeatureRows { .. } => "rows of features",
            Ask::Stack { .. } => "stack hessian",
            Ask::OwnSite { .. } => "own site",
            Ask::OwnModels => "own models",
            Ask::Distances { .. } => "distances",
            Ask::Marked(Marked { scores: ScoreOf::Class(_), .. }) => "scores by marks",
            Ask::Marked(_) => "marks",
            Ask::MarksAllowed { .. } => "marks that are allowed",
            Ask::OwnForests { .. } => "own forests",
            Ask::Softmax { derivatives: Derivatives::Gradient, .. } => "softmax gradient",
            Ask::Softmax { derivatives: Derivatives::Hessian, .. } => "softmax hessian",
        }
    }
}
