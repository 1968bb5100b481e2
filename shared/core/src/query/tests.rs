use super::*;

fn query(ask: Ask) -> Query {
    Query {
        study: StudyId::parse("s1").unwrap(),
        sites: ["a", "b"].map(|s| SiteId::parse(s).unwrap()).to_vec(),
        schema: Schema {
            features: 3,
            classes: 2,
            labelling: Labelling::Single,
            weighting: Weighting::Equal,
            judged: JudgedUnit::Row,
            levels: vec![3, 2],
        },
        input: 0,
        folds: FoldPlan { seed: Seed(1), folds: 5, repeats: 1 },
        ask,
    }
}

fn model(features: usize) -> LinearModel {
    LinearModel {
        class: 1,
        scaler: Scaler::Folded,
        weights: vec![0.5; features],
        intercept: 0.0,
        fill: Fill::Complete,
    }
}

#[test]
fn encoding_round_trips_and_names_its_format() {
    let q = query(Ask::Profile { split: vec![Column::Site, Column::Subgroup(0)] });
    assert_eq!(Query::decode(&q.encode()).unwrap(), q);
    let mut other = q.encode();
    other[0] = 9;
    assert_eq!(Query::decode(&other), Err(DecodeError::Format(9)));
    let mut longer = q.encode();
    longer.push(0);
    assert!(matches!(Query::decode(&longer), Err(DecodeError::Malformed(_))));
    assert!(Query::decode(&q.encode()[..10]).is_err());
    assert_eq!(q.numbers(), 6 + 12 + 12);
}

#[test]
fn another_input_is_another_question() {
    let first = query(Ask::Profile { split: vec![Column::Site] });
    let second = Query { input: 1, ..first.clone() };
    assert_ne!(first.digest(), second.digest());
    assert_eq!(Query::decode(&second.encode()).unwrap(), second);
    assert!(Query::decode(&second.encode()[..second.encode().len() - 1]).is_err());
    let mut zero = second.encode();
    *zero.last_mut().unwrap() = 0;
    assert!(matches!(Query::decode(&zero), Err(DecodeError::Malformed(_))));
    assert!(Query::decode(&[FORMAT_OF_INPUTS]).is_err());
}

#[test]
fn dimensions_that_dont_fit_are_refused() {
    let frame = Arc::new(Frame::identity(3));
    let rows = RowSet { repeat: 0, folds: FoldSet::all(5), sites: SiteSet::All };
    let ask = |rows, model| Ask::Logistic {
        frame: frame.clone(),
        terms: vec![LinearTerm::new(rows, model)],
        derivatives: Derivatives::Gradient,
        bits: 30,
    };
    assert!(query(ask(rows, model(3))).check().is_ok());
    assert!(query(ask(rows, model(2))).check().is_err());
    for positive in [f64::NAN, -1.0, 1e7] {
        let mut heavy = ask(rows, model(3));
        if let Ask::Logistic { terms, .. } = &mut heavy {
            terms[0].weights.positive = positive;
        }
        assert!(query(heavy).check().is_err());
    }
    let mut nan = model(3);
    nan.weights[1] = f64::NAN;
    assert!(query(ask(rows, nan)).check().is_err());
    assert!(query(ask(RowSet { folds: FoldSet::only(5), ..rows }, model(3))).check().is_err());
    assert!(query(ask(RowSet { sites: SiteSet::Only(2), ..rows }, model(3))).check().is_err());
    assert!(query(Ask::Profile { split: vec![Column::Subgroup(2)] }).check().is_err());
    let by_class = vec![Column::Site, Column::Class];
    assert!(query(Ask::Profile { split: by_class.clone() }).check().is_err());
    let moments = |split| query(Ask::Moments { frame: frame.clone(), split, bits: 30 });
    assert!(moments(by_class.clone()).check().is_ok());
    let (all, classed) = (moments(vec![Column::Site]), moments(by_class));
    let classes = u64::from(all.schema.classes);
    assert_eq!(classed.numbers(), classes * all.numbers());
    assert_eq!(classed.numbers_per_model(), classes * all.numbers_per_model());
    let mut unsorted = query(Ask::Profile { split: vec![] });
    unsorted.sites.reverse();
    assert!(unsorted.check().is_err());
}

#[test]
fn bins_cover_the_line() {
    let bins = Bins { half_width: 12.0, count: 1024 };
    assert_eq!(bins.index(-1e9), 0);
    assert_eq!(bins.index(1e9), 1023);
    assert_eq!(bins.index(0.0), 512);
    for bin in 0..1024 {
        assert_eq!(bins.index(bins.lower_edge(bin) + 1e-6), bin);
    }
}

#[test]
fn fold_sets_are_sets() {
    let set = FoldSet::all(5).without(2);
    assert_eq!(set.iter().collect::<Vec<_>>(), [0, 1, 3, 4]);
    assert!(!FoldSet::all(64).contains(64) && FoldSet::all(64).contains(63));
}

#[test]
fn maps_and_models_on_them_fit_together() {
    let map = FourierMap {
        seed: Seed(1),
        components: 64,
        gamma: 1.0,
        scaler: MapScaler::Given { mean: vec![0.0; 3], inverse: vec![1.0, 0.0, 2.0] },
    };
    let term = FourierTerm {
        rows: RowSet { repeat: 0, folds: FoldSet::all(5), sites: SiteSet::All },
        class_weights: ClassWeights::EQUAL,
        class: 1,
        map: 0,
        weights: vec![0.5; 64],
        intercept: 0.0,
    };
    let frame = Arc::new(Frame::identity(3));
    let asked = |map: &FourierMap, term: &FourierTerm| {
        let (maps, terms) = (vec![Arc::new(map.clone())], vec![term.clone(), term.clone()]);
        query(Ask::FourierHinge { frame: frame.clone(), maps, terms, bits: 30 })
    };
    let good = asked(&map, &term);
    assert_eq!(Query::decode(&good.encode()).unwrap(), good);
    assert_eq!((good.numbers_per_model(), good.numbers()), (65, 2 * 66));
    let own = FourierMap { scaler: MapScaler::OwnSite(FoldSet::only(2)), ..map.clone() };
    assert!(asked(&own, &term).check().is_ok());

    let given = |mean: &[f64], inverse: &[f64]| {
        let (mean, inverse) = (mean.to_vec(), inverse.to_vec());
        FourierMap { scaler: MapScaler::Given { mean, inverse }, ..map.clone() }
    };
    for wrong in [
        FourierMap { components: 62, ..map.clone() },
        FourierMap { components: 65, ..map.clone() },
        FourierMap { components: MOST_COMPONENTS + 2, ..map.clone() },
        FourierMap { gamma: 0.0, ..map.clone() },
        FourierMap { gamma: f64::NAN, ..map.clone() },
        FourierMap { gamma: f64::INFINITY, ..map.clone() },
        FourierMap { scaler: MapScaler::OwnSite(FoldSet::only(5)), ..map.clone() },
        given(&[0.0; 2], &[1.0; 3]),
        given(&[0.0; 3], &[1.0; 4]),
        given(&[0.0; 3], &[1.0, -1.0, 1.0]),
        given(&[0.0, f64::NAN, 0.0], &[1.0; 3]),
    ] {
        let fitting = FourierTerm { weights: vec![0.5; wrong.components as usize], ..term.clone() };
        assert!(asked(&wrong, &fitting).check().is_err(), "{wrong:?}");
    }
    for wrong in [
        FourierTerm { map: 1, ..term.clone() },
        FourierTerm { class: 2, ..term.clone() },
        FourierTerm { weights: vec![0.5; 63], ..term.clone() },
        FourierTerm { weights: vec![f64::NAN; 64], ..term.clone() },
        FourierTerm { intercept: f64::INFINITY, ..term.clone() },
    ] {
        assert!(asked(&map, &wrong).check().is_err());
    }
}

#[test]
fn a_distance_has_variances_and_means_of_every_feature() {
    let rows = RowSet { repeat: 0, folds: FoldSet::only(1), sites: SiteSet::All };
    let good = Measure {
        inverse: vec![1.0, 0.0, 2.0],
        fill: Fill::Complete,
        means: vec![vec![0.0; 3], vec![1.0; 3]],
        directions: vec![vec![1.0, 0.0, 0.0]],
        variances: vec![2.0],
        rest: 0.5,
    };
    assert_eq!(good.columns(), 2);
    let asked = |rows: RowSet, measure: &Measure, bins: Bins| {
        let terms = vec![DistanceTerm { rows, measure: measure.clone() }];
        let frame = Arc::new(Frame::identity(3));
        query(Ask::Distances { frame, terms, split: vec![Column::Site], bins })
    };
    let fine = asked(rows, &good, DISTANCE_BINS);
    assert_eq!(Query::decode(&fine.encode()).unwrap(), fine);
    assert_eq!((fine.numbers(), fine.numbers_per_model()), (2 * 1024, 1024));
    for wrong in [
        Measure { inverse: vec![0.0; 3], ..good.clone() },
        Measure { inverse: vec![1.0, -1.0, 1.0], ..good.clone() },
        Measure { fill: Fill::Values(vec![0.0; 2]), ..good.clone() },
        Measure { means: vec![], ..good.clone() },
        Measure { means: vec![vec![0.0; 2]], ..good.clone() },
        Measure { directions: vec![vec![f64::NAN; 3]], ..good.clone() },
        Measure { variances: vec![], ..good.clone() },
        Measure { variances: vec![0.0], ..good.clone() },
        Measure { rest: f64::INFINITY, ..good.clone() },
    ] {
        assert!(asked(rows, &wrong, DISTANCE_BINS).check().is_err(), "{wrong:?}");
    }
    let beyond = RowSet { folds: FoldSet::only(5), ..rows };
    assert!(asked(beyond, &good, DISTANCE_BINS).check().is_err());
    assert!(asked(rows, &good, Bins { count: 0, ..DISTANCE_BINS }).check().is_err());
}

#[test]
fn sites_are_adjusted_to_moments_of_every_feature() {
    let rows = RowSet { repeat: 0, folds: FoldSet::all(5), sites: SiteSet::All };
    let good =
        Combat { folds: FoldSet::only(2), mean: vec![0.5; 3], deviation: vec![0.0, 1.0, 2.0] };
    let asked = |combat: &Combat| {
        let scaler = Scaler::Combat(Arc::new(combat.clone()));
        let terms = vec![LinearTerm::new(rows, LinearModel { scaler, ..model(3) })];
        let (frame, derivatives) = (Arc::new(Frame::identity(3)), Derivatives::Gradient);
        query(Ask::Logistic { frame, terms, derivatives, bits: 30 })
    };
    assert_eq!(Query::decode(&asked(&good).encode()).unwrap(), asked(&good));
    for wrong in [
        Combat { folds: FoldSet::only(5), ..good.clone() },
        Combat { mean: vec![0.5; 2], ..good.clone() },
        Combat { deviation: vec![1.0; 4], ..good.clone() },
        Combat { deviation: vec![1.0, -1.0, 1.0], ..good.clone() },
        Combat { mean: vec![0.5, f64::NAN, 0.5], ..good.clone() },
    ] {
        assert!(asked(&wrong).check().is_err(), "{wrong:?}");
    }
}

#[test]
fn a_model_of_all_classes_has_coefficients_of_each() {
    let model = SoftmaxModel {
        scaler: Scaler::Folded,
        fill: Fill::Complete,
        coefficients: vec![0.25; 2 * 4],
    };
    let term = |class_weights: &[f64], model: &SoftmaxModel| SoftmaxTerm {
        rows: RowSet { repeat: 0, folds: FoldSet::all(5), sites: SiteSet::All },
        class_weights: class_weights.to_vec(),
        model: model.clone().into(),
    };
    let frame = Arc::new(Frame::identity(3));
    let asked = |terms: Vec<SoftmaxTerm>, derivatives| {
        query(Ask::Softmax { frame: frame.clone(), terms, derivatives, bits: 30 })
    };
    let good = term(&[1.0, 0.0], &model);
    let both = asked(vec![good.clone(), good.clone()], Derivatives::Hessian);
    assert_eq!(Query::decode(&both.encode()).unwrap(), both);
    assert_eq!((both.numbers_per_model(), both.numbers()), (8, 2 * (1 + 8 + 36)));
    assert_eq!(asked(vec![good.clone()], Derivatives::Gradient).numbers(), 9);
    let with = |coefficients: Vec<f64>| SoftmaxModel { coefficients, ..model.clone() };
    for wrong in [
        term(&[1.0], &model),
        term(&[1.0, -1.0], &model),
        term(&[1.0, f64::NAN], &model),
        term(&[1.0, 1.0], &with(vec![0.0; 7])),
        term(&[1.0, 1.0], &with(vec![f64::INFINITY; 8])),
        term(&[1.0, 1.0], &SoftmaxModel { fill: Fill::Values(vec![0.0; 2]), ..model.clone() }),
        SoftmaxTerm { rows: RowSet { repeat: 1, ..good.rows }, ..good.clone() },
    ] {
        assert!(asked(vec![good.clone(), wrong], Derivatives::Gradient).check().is_err());
    }
}

#[test]
fn cuts_draws_and_replicates_that_dont_fit_are_refused() {
    let rows = RowSet { repeat: 0, folds: FoldSet::all(5), sites: SiteSet::All };
    let ask = |groups: Vec<u16>, thresholds: Vec<u16>, draws, replicates| {
        query(Ask::Resampled {
            frame: Arc::new(Frame::identity(3)),
            models: vec![model(3).into()],
            lists: vec![ScoreList { class: 1, parts: vec![(rows, 0)] }],
            cuts: vec![ListCuts { groups, thresholds }],
            split: vec![Column::Subgroup(1)],
            bins: Bins { half_width: 2.0, count: 40 },
            draws,
            seed: Seed(1),
            replicates,
            bits: 20,
        })
    };
    let fine = ask(vec![5, 9], vec![20], Draws::Levels(1), [0, 3]);
    fine.check().unwrap();
    assert_eq!(Query::decode(&fine.encode()).unwrap(), fine);
    // One list, three replicates, two levels.
    assert_eq!(fine.numbers(), (3 * 2 * RESAMPLED_NUMBERS) as u64);
    for (groups, thresholds, draws, replicates, why) in [
        (vec![9, 5], vec![20], Draws::Patients, [0, 3], "groups"),
        (vec![0, 5], vec![20], Draws::Patients, [0, 3], "groups"),
        (vec![40], vec![20], Draws::Patients, [0, 3], "groups"),
        ((1..33).collect(), vec![20], Draws::Patients, [0, 3], "groups"),
        (vec![], vec![], Draws::Patients, [0, 3], "thresholds"),
        (vec![], vec![40], Draws::Patients, [0, 3], "thresholds"),
        (vec![], vec![20], Draws::Levels(0), [0, 3], "subgroup column 0"),
        (vec![], vec![20], Draws::Patients, [3, 3], "replicates"),
        (vec![], vec![20], Draws::Patients, [0, MOST_REPLICATES + 2], "replicates"),
    ] {
        let said = ask(groups, thresholds, draws, replicates).check().unwrap_err().to_string();
        assert!(said.contains(why), "{said}");
    }
    let mut cells = ask(vec![5, 9], vec![20], Draws::Cells, [0, 3]);
    cells.check().unwrap();
    if let Ask::Resampled { split, .. } = &mut cells.ask {
        *split = vec![Column::Site];
    }
    assert!(cells.check().unwrap_err().to_string().contains("subgroup columns"));
    let cuts = ListCuts { groups: vec![5, 9], thresholds: vec![] };
    assert_eq!([0, 4, 5, 8, 9, 39].map(|bin| cuts.group(bin)), [0, 0, 1, 1, 2, 2]);
}
