"""Model files: everything round trips, and nothing in a hostile file runs."""

import io
import itertools
import json
import operator
import os
import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import skops.io
from sklearn import config_context
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_selection import RFE, SelectFromModel, SelectKBest, mutual_info_classif
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    RandomizedSearchCV,
    StratifiedKFold,
    TunedThresholdClassifierCV,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KernelDensity, KNeighborsClassifier, LocalOutlierFactor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, PowerTransformer, StandardScaler
from sklearn.svm import SVC, LinearSVC

from geneexpr import CPMNormalizer, LogTransformer, ToArray, VarianceFilter
from geneexpr._validation import ModelFileWarning
from geneexpr.datasets import make_cohort
from geneexpr.io import UntrustedModelError, _models, load_model, save_model
from geneexpr.io._reviewed import is_reviewed, public_path, public_paths

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 8))
Y = np.where(X[:, 0] + 0.3 * RNG.normal(size=90) > 0, "case", "control")

MODELS = {
    "pipeline": make_pipeline(StandardScaler(), PCA(3), LogisticRegression()),
    "columns": make_pipeline(
        ColumnTransformer([("a", StandardScaler(), [0, 1]), ("b", "passthrough", slice(2, 5))]),
        LogisticRegression(),
    ),
    "union": make_pipeline(
        FeatureUnion([("pca", PCA(2)), ("best", SelectKBest(k=3))]), LogisticRegression()
    ),
    "svc": SVC(),
    "linear svc": LinearSVC(),
    "sgd": SGDClassifier(random_state=0),
    "forest": RandomForestClassifier(5, random_state=0),
    "pruned forest": RandomForestClassifier(5, max_leaf_nodes=4, random_state=0),
    "extra trees": ExtraTreesClassifier(5, random_state=np.random.RandomState(0)),
    "forest regressor": RandomForestRegressor(5, random_state=0),
    "boosting": GradientBoostingClassifier(n_estimators=5),
    "histogram boosting": HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=5),
    "ada": AdaBoostClassifier(n_estimators=3),
    "bagging": BaggingClassifier(
        RandomForestClassifier(3), n_estimators=3, max_features=0.5, random_state=0
    ),
    "isolation": IsolationForest(n_estimators=5, max_features=0.5, random_state=0),
    "neighbours": KNeighborsClassifier(),
    "kd tree": KNeighborsClassifier(algorithm="kd_tree", p=1),
    "ball tree": KNeighborsClassifier(algorithm="ball_tree", metric="chebyshev"),
    "outlier factor": LocalOutlierFactor(novelty=True, algorithm="ball_tree"),
    "naive Bayes": GaussianNB(),
    "discriminant": LinearDiscriminantAnalysis(),
    "perceptron": MLPClassifier((4,), max_iter=200, early_stopping=True, random_state=0),
    "Gaussian process": GaussianProcessClassifier(1.0 * RBF()),
    "imputers": make_pipeline(SimpleImputer(), KNNImputer(), PowerTransformer(), GaussianNB()),
    "svd": TruncatedSVD(2, random_state=0),
    "ufunc": make_pipeline(FunctionTransformer(np.abs), LogisticRegression()),
    "RFE": RFE(LogisticRegression(), n_features_to_select=3),
    "selection": make_pipeline(SelectFromModel(LogisticRegression()), LogisticRegression()),
    "mutual information": make_pipeline(SelectKBest(mutual_info_classif, k=3), GaussianNB()),
    "voting": VotingClassifier([("a", LogisticRegression()), ("b", GaussianNB())]),
    "stacking": StackingClassifier([("a", GaussianNB()), ("b", RandomForestClassifier(3))]),
    "search": GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression()),
        {"logisticregression__C": np.logspace(-1, 0, 2), "standardscaler": ["passthrough", PCA(2)]},
        cv=StratifiedKFold(3, shuffle=True, random_state=0),
        scoring="roc_auc",
    ),
    "search of several scores": GridSearchCV(
        LogisticRegression(), {"C": [0.1, 1]}, scoring=["roc_auc", "accuracy"], refit="accuracy"
    ),
    "search by own score": GridSearchCV(
        SVC(), {"C": [0.1, 1]}, scoring=make_scorer(f1_score, pos_label="case")
    ),
    "calibrated": CalibratedClassifierCV(LinearSVC()),
    "calibrated isotonic": CalibratedClassifierCV(GaussianNB(), method="isotonic"),
    "pandas output": make_pipeline(StandardScaler(), Ridge()).set_output(transform="pandas"),
}


def outputs(model, data):
    names = ("predict", "predict_proba", "decision_function", "transform")
    return [getattr(model, name)(data) for name in names if hasattr(model, name)]


def file_of(model, path, **options):
    save_model(model, path, **options)
    return path


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", MODELS)
def test_scikit_learn_models_round_trip(name, tmp_path):
    data = X.copy()
    data[:, 7] = RNG.integers(0, 4, len(data))
    target = data[:, 0] if name in {"forest regressor", "pandas output"} else Y
    model = MODELS[name].fit(data, target)
    loaded = load_model(file_of(model, tmp_path / "model.skops"))
    assert type(loaded) is type(model)
    for expected, found in zip(outputs(model, data), outputs(loaded, data), strict=True):
        np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
    if name != "extra trees":  # whose random state shows its address
        assert repr(loaded) == repr(model)


@pytest.fixture(scope="module")
def cohort():
    return make_cohort(60, 40, effect_size=3.0, random_state=0)


@pytest.fixture
def pipeline(cohort):
    model = make_pipeline(
        CPMNormalizer(), LogTransformer(), VarianceFilter(n_genes=20), ToArray(), SVC()
    )
    return model.fit(cohort, cohort.obs["condition"].to_numpy())


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_our_pipeline_round_trips_under_its_public_names(pipeline, cohort, tmp_path):
    path = file_of(pipeline, tmp_path / "model")
    np.testing.assert_array_equal(
        load_model(path).decision_function(cohort), pipeline.decision_function(cohort)
    )
    modules = set(
        re.findall(r'"__module__": "(geneexpr[^"]*)"', members(path)["schema.json"].decode())
    )
    assert modules == {"geneexpr.adapters", "geneexpr.normalization", "geneexpr.selection"}
    about = json.loads(members(path)["geneexpr.json"])
    assert about["format"] == 1
    assert set(about["versions"]) == {"geneexpr", "numpy", "python", "scikit-learn", "scipy"}


def test_no_sample_name_is_in_the_file(pipeline, cohort, tmp_path):
    content = b"".join(members(file_of(pipeline, tmp_path / "model")).values())
    assert b"gene00" in content or "gene00".encode("utf-32-le") in content
    for sample in cohort.obs_names:
        assert sample.encode() not in content
        assert sample.encode("utf-32-le") not in content


def test_every_public_name_has_a_stage():
    assert public_paths()["CPMNormalizer"] == "geneexpr.normalization"
    assert public_path("geneexpr.normalization._library_size", "CPMNormalizer") == (
        "geneexpr.normalization"
    )
    assert public_path("sklearn.svm._classes", "SVC") == "sklearn.svm._classes"
    assert public_path("geneexpr_plugins", "CPMNormalizer") == "geneexpr_plugins"


@pytest.mark.parametrize(
    "path",
    [
        "posix.system",
        "builtins.eval",
        "geneexpr.io.save_model",
        "geneexpr.io._models._replace",
        "geneexpr.datasets.fetch_hapmap_lcl",
        "geneexpr.normalization._library_size.CPMNormalizer",
        "sklearn.datasets._base.load_files",
        "sklearn.metrics._plot.roc_curve.RocCurveDisplay",
        "sklearn.utils._testing.raises",
        "skorch.net.NeuralNet",
        "torch.storage._load_from_bytes",
        "joblib.memory.Memory",
    ],
)
def test_what_is_not_reviewed_is_not_trusted(path):
    assert not is_reviewed(path)


def test_compression_is_optional(pipeline, tmp_path):
    small = file_of(pipeline, tmp_path / "small")
    large = file_of(pipeline, tmp_path / "large", compress=False)
    assert small.stat().st_size < large.stat().st_size
    assert repr(load_model(large)) == repr(load_model(small))


def test_a_failed_save_leaves_the_old_file(pipeline, tmp_path, monkeypatch):
    path = file_of(pipeline, tmp_path / "model.skops")
    before = path.read_bytes()
    with pytest.raises(UntrustedModelError):
        save_model(FunctionTransformer(os.system), path)
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save_model(pipeline, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["model.skops"]


class Doubler(TransformerMixin, BaseEstimator):
    """A user's own transformer."""

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        return 2 * X


def test_types_of_the_user_are_listed_by_the_user(tmp_path):
    model = make_pipeline(Doubler(), LogisticRegression()).fit(X, Y)
    path, name = tmp_path / "model.skops", f"{Doubler.__module__}.Doubler"
    with pytest.raises(UntrustedModelError, match=re.escape(name)) as caught:
        save_model(model, path)
    assert str(caught.value) == (
        f"the model cannot be saved, since load_model would refuse {name}. List types of your own "
        "in trusted=, here and in load_model; of a fitted search, save best_estimator_"
    )
    assert not path.exists()
    save_model(model, path, trusted=[Doubler])
    with pytest.raises(UntrustedModelError) as caught:
        load_model(path)
    assert str(caught.value) == (
        f"{path} was refused: it holds {name}, which is not known to be safe. If it is a type of "
        "your own, list it in trusted=; if you do not know it, do not use the file"
    )
    sys.modules.setdefault(Doubler.__module__, sys.modules[__name__])
    loaded = load_model(path, trusted=[name])
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


@pytest.mark.parametrize(
    "name",
    ["skorch.net.NeuralNet", "torch.nn.Linear", "scipy.stats._distn_infrastructure.rv_frozen"],
)
def test_some_types_cannot_be_trusted(pipeline, tmp_path, name):
    message = (
        f"{name} cannot be trusted: restoring a type of torch, skorch or scipy.stats can run code "
        "that the file holds"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        load_model(file_of(pipeline, tmp_path / "model"), trusted=[name])


def test_what_cannot_be_loaded_cannot_be_saved(tmp_path):
    from scipy.stats import loguniform

    search = RandomizedSearchCV(LogisticRegression(), {"C": loguniform(0.1, 1)}, n_iter=1, cv=2)
    with pytest.raises(UntrustedModelError, match=r"rv_continuous_frozen.*save best_estimator_"):
        save_model(search.fit(X, Y), tmp_path / "model")
    with pytest.raises(UntrustedModelError, match="<lambda>"):
        save_model(FunctionTransformer(lambda x: x), tmp_path / "model")
    with pytest.raises(ValueError, match="a KernelDensity holds a KDTree in tree_"):
        save_model(KernelDensity().fit(X), tmp_path / "model")
    with pytest.raises(UntrustedModelError, match="operator"):
        save_model(FunctionTransformer(operator.itemgetter(0)), tmp_path / "model")


# ---------------------------------------------------------------- hostile files


def tampered(path, change, **files):
    """Rewrite a model file with its schema changed and members replaced."""
    content = members(path)
    schema = json.loads(content["schema.json"])
    schema = change(schema) or schema
    content |= files | {"schema.json": json.dumps(schema)}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def attribute(schema, name):
    return schema["content"]["content"][name]


IDS = itertools.count(1)


def node(loader, path, **parts):
    module, _, name = path.rpartition(".")
    return {
        "__loader__": loader,
        "__module__": module,
        "__class__": name,
        "__id__": next(IDS),
        **parts,
    }


TEXT = node("JsonNode", "builtins.str", content='"touch hostile"', is_json=True)
NOTHING = node("TupleNode", "builtins.tuple", content=[])
WORDS = node("TupleNode", "builtins.tuple", content=[TEXT])
HOSTILE = {
    "function": (node("FunctionNode", "posix.system"), "it holds posix.system, which is not known"),
    "type": (node("TypeNode", "subprocess.Popen"), "it holds subprocess.Popen, which"),
    "object": (
        node("ObjectNode", "skorch.net.NeuralNet", content=node(
            "DictNode", "builtins.dict", content={}, key_types=node("ListNode", "builtins.list", content=[])
        )),
        "it holds skorch.net.NeuralNet, which",
    ),
    "tensor": (node("ObjectNode", "torch._utils._rebuild_tensor_v2"), "it holds torch._utils._rebuild_tensor_v2"),
    "object array": (
        node("NdArrayNode", "numpy.ndarray", type="json", content=[node("FunctionNode", "os.system")],
             shape=node("TupleNode", "builtins.tuple", content=[
                 node("JsonNode", "builtins.str", content="1", is_json=True)])),
        "it holds os.system, which",
    ),
    "dictionary": (
        node("DictNode", "builtins.dict", content={"touch hostile": TEXT}, key_types=node(
            "ListNode", "builtins.list", content=[node("TypeNode", "os.system")])),
        "it holds os.system, which",
    ),
    "own function": (
        node("FunctionNode", "geneexpr.io.save_model"),
        "it holds geneexpr.io.save_model, which",
    ),
    "own private type": (
        node("TypeNode", "geneexpr.io._models._replace"),
        "it holds geneexpr.io._models._replace, which",
    ),
    "method": (
        node("MethodNode", "sklearn.svm._classes.SVC", content={
            "obj": node("ObjectNode", "sklearn.svm._classes.SVC"), "func": "__reduce__"}),
        "it wants to restore sklearn.svm._classes.SVC by calling it (MethodNode)",
    ),
    "partial": (
        node("PartialNode", "functools.partial", content={
            "func": node("FunctionNode", "os.system"), "args": WORDS, "kwds": NOTHING, "namespace": NOTHING}),
        "it wants to restore functools.partial by calling it (PartialNode)",
    ),
    "operator": (
        node("OperatorFuncNode", "operator.methodcaller", attrs=WORDS),
        "it wants to restore operator.methodcaller by calling it (OperatorFuncNode)",
    ),
    "constructor": (
        node("ConstructorFromReduceNode", "subprocess.Popen", content=WORDS),
        "it wants to restore subprocess.Popen by calling it (ConstructorFromReduceNode)",
    ),
    "trusted constructor": (
        node("ConstructorFromReduceNode", "sklearn.tree._tree.Tree", content=WORDS),
        "it wants to restore sklearn.tree._tree.Tree by calling it (ConstructorFromReduceNode)",
    ),
    "cached": (
        node("CachedNode", "os.system"),
        "it wants to restore os.system by calling it (CachedNode)",
    ),
    "unknown loader": (
        node("EvilNode", "os.system"), "it wants to restore os.system by calling it (EvilNode)"
    ),
    "loss": (
        node("LossNode", "os.system", __reduce__={"args": WORDS}, content=NOTHING),
        "it holds os.system, which",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused_and_run_nothing(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bomb, message = HOSTILE[kind]
    path = file_of(SVC().fit(X, Y), tmp_path / "model.skops")
    tampered(path, lambda schema: schema["content"]["content"].update(tol=bomb))
    with pytest.raises(UntrustedModelError, match=re.escape(f"{path} was refused: {message}")):
        load_model(path)
    assert not (tmp_path / "hostile").exists()


def test_the_model_itself_may_not_be_hostile(tmp_path):
    path = file_of(SVC().fit(X, Y), tmp_path / "model.skops")
    tampered(path, lambda schema: schema.update(__module__="os", __class__="system"))
    with pytest.raises(UntrustedModelError, match=r"it holds os\.system"):
        load_model(path)


def test_pickled_arrays_are_refused(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'hostile'}",)

    buffer = io.BytesIO()
    np.save(buffer, np.array([Bomb()], dtype=object), allow_pickle=True)
    path = file_of(StandardScaler().fit(X), tmp_path / "model.skops")
    name = attribute(json.loads(members(path)["schema.json"]), "mean_")["file"]
    tampered(path, lambda schema: None, **{name: buffer.getvalue()})
    with pytest.raises(ValueError, match="allow_pickle=False"):
        load_model(path)
    assert not (tmp_path / "hostile").exists()


def test_an_older_protocol_is_refused(tmp_path):
    path = file_of(SVC().fit(X, Y), tmp_path / "model.skops")
    tampered(path, lambda schema: schema.update(protocol=0))
    with pytest.raises(UntrustedModelError, match="skops protocol 0 checks too little"):
        load_model(path)


def test_the_cache_folder_of_a_pipeline_is_dropped(tmp_path):
    model = make_pipeline(StandardScaler(), SVC(), memory=str(tmp_path / "cache")).fit(X, Y)
    assert load_model(file_of(model, tmp_path / "model")).memory is None


def set_first_tree(**state):
    def change(model):
        tree = model.estimators_[0].tree_
        old = tree.__getstate__()
        for name, value in state.items():
            if name in old:
                old[name] = value
            else:
                old["nodes"] = old["nodes"].copy()
                old["nodes"][name][0] = value
        tree.__setstate__(old)

    return change


def set_first_node(**values):
    def change(model):
        for name, value in values.items():
            model._predictors[0][0].nodes[name][0] = value

    return change


def change_width(model):
    model.n_features_in_ = 5


def one_feature(model):
    model.n_features_in_ = 1


def more_columns(model):
    model.estimators_features_ = [np.arange(8)] * len(model.estimators_)


def swap_tree(model):
    model.estimators_[0, 0].tree_ = np.zeros(3)


def more_trees(model):
    model.estimators_ = np.repeat(model.estimators_, 2, axis=1)


BROKEN = {
    "child": ("forest", set_first_tree(left_child=10_000_000), "points to nodes"),
    "loop": ("forest", set_first_tree(right_child=0), "points to nodes"),
    "feature": ("forest", set_first_tree(feature=5000), "asks for features"),
    "depth": ("forest", set_first_tree(max_depth=1), "does not have the depth 1"),
    "width": ("forest", change_width, "a tree of 8 features is asked with 5"),
    "isolation width": ("isolation", more_columns, "a tree of 4 features is asked with 8"),
    "other type": ("boosting", swap_tree, "ndarray stands in place of a tree"),
    "more trees": ("boosting", more_trees, "number of trees per iteration"),
    "boosting width": ("boosting", change_width, "a tree of 8 features is asked with 5"),
    "histogram child": ("histogram boosting", set_first_node(left=70_000), "points to nodes"),
    "histogram feature": ("histogram boosting", set_first_node(feature_idx=99), "for features"),
    "histogram category": (
        "histogram boosting", set_first_node(is_categorical=1, bitset_idx=7), "for categories"
    ),
    "histogram width": ("histogram boosting", one_feature, "asks for features"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_trees_that_point_outside_are_refused(kind, tmp_path, monkeypatch):
    """Compiled code follows these indices: such a file would crash the process."""
    name, change, message = BROKEN[kind]
    model = skops.io.loads(
        (data := skops.io.dumps(MODELS[name].fit(X, Y))),
        trusted=skops.io.get_untrusted_types(data=data),
    )
    change(model)
    with monkeypatch.context() as patch:
        # A writer that does not check: what an attacker has.
        patch.setattr(_models, "_secure", lambda model: None)
        path = file_of(model, tmp_path / "model.skops")
    with pytest.raises(ValueError, match=f"was tampered with: in .*{message}"):
        load_model(path)


def test_sizes_of_a_tree_must_agree_before_it_is_built(tmp_path):
    path = file_of(MODELS["forest"].fit(X, Y), tmp_path / "model.skops")

    def change(schema):
        for item in _models._nodes(schema):
            if item["__loader__"] == "TreeNode":
                item["__reduce__"]["args"]["content"][2]["content"] = "100000000"

    with pytest.raises(ValueError, match="the sizes of a tree disagree"):
        load_model(tampered(path, change))


def test_a_file_that_holds_itself_is_refused(tmp_path):
    path = file_of(SVC().fit(X, Y), tmp_path / "model.skops")
    inner = node("ListNode", "builtins.list", content=[])
    inner["content"].append(inner | {"content": []})
    tampered(path, lambda schema: schema["content"]["content"].update(tol=inner))
    with pytest.raises(ValueError, match="is damaged: an object in it holds itself"):
        load_model(path)


def test_neighbour_trees_are_built_anew(tmp_path):
    model = KNeighborsClassifier(algorithm="kd_tree", leaf_size=3).fit(X, Y)
    path = file_of(model, tmp_path / "model.skops")
    schema = json.loads(members(path)["schema.json"])
    arrays = [n["file"] for n in attribute(schema, "_tree")["content"]["content"] if "file" in n]
    out_of_range = {}
    for name in arrays:
        array = np.load(io.BytesIO(members(path)[name]))
        if array.dtype.kind == "i":
            buffer = io.BytesIO()
            np.save(buffer, array + 10_000_000)
            out_of_range[name] = buffer.getvalue()
    assert out_of_range
    loaded = load_model(tampered(path, lambda schema: None, **out_of_range))
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


# ---------------------------------------------------------------- other files


def about(path, **entries):
    content = members(path)
    changed = json.loads(content["geneexpr.json"])
    versions = changed["versions"] | entries.pop("versions", {})
    return tampered(
        path,
        lambda s: None,
        **{"geneexpr.json": json.dumps(changed | {"versions": versions} | entries)},
    )


def test_another_version_is_named(pipeline, tmp_path):
    path = file_of(pipeline, tmp_path / "model.skops")
    about(path, versions={"geneexpr": "0.0.1", "scikit-learn": "1.0"})
    now = _models._versions()
    message = (
        f"{path} was saved with geneexpr 0.0.1 (now {now['geneexpr']}) and scikit-learn 1.0 (now "
        f"{now['scikit-learn']}). Its predictions may differ: compare them on known samples, or "
        "save the model again"
    )
    with pytest.warns(ModelFileWarning, match=f"^{re.escape(message)}$"):
        load_model(path)


def test_a_newer_format_is_refused(pipeline, tmp_path):
    path = about(
        file_of(pipeline, tmp_path / "model.skops"), format=2, versions={"geneexpr": "9.0"}
    )
    message = f"{path} has the format 2, written by geneexpr 9.0; this geneexpr reads up to 1."
    with pytest.raises(ValueError, match=re.escape(message)):
        load_model(path)


def test_other_files_are_named(tmp_path):
    path = tmp_path / "model.skops"
    path.write_bytes(b"no archive")
    with pytest.raises(ValueError, match="is not a model file: File is not a zip file"):
        load_model(path)
    skops.io.dump(SVC().fit(X, Y), path)
    with pytest.raises(ValueError, match="is not a model file of geneexpr, or it is damaged"):
        load_model(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("schema.json", "[" * 100_000)
    with pytest.raises(ValueError, match="is not a model file of geneexpr, or it is damaged"):
        load_model(path)
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / "absent.skops")


def test_loading_a_model_loads_no_more_than_it_names(tmp_path):
    path = file_of(CPMNormalizer().fit(np.ones((3, 2))), tmp_path / "model.skops")
    code = (
        "import sys; from geneexpr import load_model; load_model(sys.argv[1]); "
        "print([m for m in ('skorch', 'anndata', 'shap') if m in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


def test_group_splitters_round_trip(tmp_path):
    search = GridSearchCV(LogisticRegression(), {"C": [1.0]}, cv=GroupKFold(3))
    search.fit(X, Y, groups=np.arange(len(X)) % 9)
    loaded = load_model(file_of(search, tmp_path / "model.skops"))
    np.testing.assert_array_equal(loaded.predict_proba(X), search.predict_proba(X))
    assert repr(loaded.cv) == repr(search.cv)


def test_metadata_requests_round_trip(tmp_path):
    with config_context(enable_metadata_routing=True):
        model = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=True),
            LogisticRegression().set_fit_request(sample_weight=True),
        ).fit(X, Y, sample_weight=np.ones(len(X)))
        loaded = load_model(file_of(model, tmp_path / "model.skops"))
        for pipeline in (model, loaded):
            request = pipeline[0].get_metadata_routing().fit.requests
            assert request == {"sample_weight": True}
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))


def test_tuned_threshold_round_trips(tmp_path):
    model = TunedThresholdClassifierCV(LogisticRegression(), scoring="balanced_accuracy").fit(X, Y)
    loaded = load_model(file_of(model, tmp_path / "model.skops"))
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
