"""Functions and methods by name: which leave their object as it is, which change it, which draw random numbers."""

from __future__ import annotations

__all__ = [
    "CHANGES_FIRST",
    "DRAWS",
    "DRAWS_ALONE",
    "FRESH_FUNCTIONS",
    "INPLACE_METHODS",
    "ITERATORS",
    "PURE_METHODS",
    "RANDOM_CALLS",
    "READS_FILE",
    "SEEDS",
    "SHARING_METHODS",
    "SHOWING",
    "SHOWING_WORDS",
    "STEADY",
    "WRITES_FILE",
    "WRITES_NAMED",
    "words",
]


def words(text: str) -> frozenset[str]:
    """Names, written side by side."""
    return frozenset(text.split())


# The public methods and properties of pandas, NumPy and the built-in types that change nothing
# (unless they are told to work in place), and those of fitted scikit-learn estimators.
PURE_METHODS = words(
    """
    abs add_categories add_prefix add_suffix agg aggregate align all any apply area argmax argmin argpartition
    argsort array as_integer_ratio as_ordered as_unit as_unordered asfreq asm8 asof asof_locs assign astimezone
    astype at at_time attrs autocorr axes background_gradient bar barh base between between_time bfill bit_count
    bit_length box boxplot byteswap capitalize case_when casefold cat categories ceil center check_for_ordered
    choose clip codes columns combine combine_first compare compress conj conjugate contains convert_dtypes copy
    corr corrwith cost_complexity_pruning_path count cov ctime ctypes cumcount cummax cummin cumprod cumsum data
    date day day_name day_of_week day_of_year dayofweek dayofyear days_in_month daysinmonth decision_function
    decision_path decode delete denominator density describe device diagonal diff difference div divide divmod
    dot drop drop_duplicates droplevel dropna dst dt dtype dtypes dump dumps duplicated empty encode endswith eq
    equals eval ewm exclusions expanding expandtabs explode extract extractall factorize ffill fillna filter
    find findall first first_valid_index flags flat flatten floor floordiv fold format format_map freq
    from_arrow from_bytes from_codes from_dict from_records fromhex fromisocalendar fromisoformat fromkeys
    fromordinal fromtimestamp fullmatch ge get get_dummies get_feature_names_out get_group get_indexer
    get_indexer_for get_indexer_non_unique get_level_values get_loc get_n_splits get_params get_slice_bound
    get_support getfield groupby groups gt has_duplicates hasnans head heatmap hex hexbin highlight_max
    highlight_min hist hour iat identical idxmax idxmin iloc imag index indices infer_objects inferred_type info
    interpolate intersection inverse_transform is_ is_integer is_leap_year is_monotonic_decreasing
    is_monotonic_increasing is_month_end is_month_start is_quarter_end is_quarter_start is_unique is_year_end
    is_year_start isalnum isalpha isascii isdecimal isdigit isdisjoint isidentifier isin islower isna isnull
    isnumeric isocalendar isoformat isoweekday isprintable isspace issubset issuperset istitle isupper item
    items itemsize iterrows itertuples join kde keys kneighbors kurt kurtosis last last_valid_index le len level
    line list ljust loc lower lstrip lt maketrans map mask match max mean median melt memory_usage merge
    microsecond min minute mod mode month month_name mT mul multiply name named_parameters names nanosecond
    nbytes ndim ne ngroup ngroups nlargest nlevels nonzero normalize notna notnull now nsmallest nth numerator
    nunique ohlc ordered pad parameters pct_change pie pipe pivot pivot_table plot pow predict predict_log_proba
    predict_proba prod product putmask quantile quarter query radd rank ravel rdiv rdivmod real reindex
    reindex_like remove_categories remove_unused_categories removeprefix removesuffix rename rename_axis
    rename_categories reorder_categories reorder_levels repeat replace resample reset_index reshape resolution
    rfind rfloordiv rindex rjust rmod rmul rolling round rpartition rpow rsplit rstrip rsub rtruediv sample
    savefig scatter score score_samples searchsorted second select select_dtypes sem set_axis set_categories
    set_flags set_index set_names set_ordered shape shift show size skew slice slice_indexer slice_locs
    slice_replace sort_index sort_values sortlevel sparse split splitlines sql squeeze stack staged_predict
    startswith state_dict std str strftime strides strip strptime struct style sub subtract sum summary swapaxes
    swapcase swaplevel symmetric_difference T tail take time timestamp timetuple timetz title to_bytes
    to_clipboard to_csv to_datetime64 to_device to_dict to_excel to_feather to_file to_flat_index to_frame
    to_hdf to_html to_iceberg to_json to_julian_date to_latex to_list to_markdown to_numpy to_orc to_parquet
    to_period to_pickle to_pydatetime to_records to_series to_sql to_stata to_string to_timestamp to_xarray
    to_xml tobytes today tofile tolist toordinal trace transform translate transpose truediv truncate tz
    tz_convert tz_localize tzinfo tzname union unique unit unstack upper utcfromtimestamp utcnow utcoffset
    utctimetuple value value_counts values var view week weekday weekofyear where wrap xs year zfill
    """
)

# Of those that change nothing, the ones whose result is part of their object or a view of it.
SHARING_METHODS = words(
    """
    diagonal get items ravel reshape squeeze swapaxes to_numpy transpose values view
    """
)

# Methods that change their object; of any other method that is not known it is assumed.
INPLACE_METHODS = words(
    """
    add append appendleft backward clear close difference_update discard extend extendleft fill fit fit_predict
    fit_transform insert intersection_update isetitem itemset load_state_dict partial_fit partition pop popitem
    popleft put read readline readlines remove resize reverse rotate seek send set_output set_params setdefault
    setfield setflags sort step symmetric_difference_update throw train update write writelines zero_grad
    """
)

# Functions whose result shares nothing with what they are given.
FRESH_FUNCTIONS = words(
    """
    abs all any array bool clone concat copy corr cross_val_predict cross_val_score cross_validate crosstab cut
    date_range deepcopy float format get_dummies int isinstance len linspace mean median melt merge ones_like
    percentile pivot_table print qcut quantile range read_csv read_excel read_json read_parquet read_sql repr
    round std str sum to_datetime to_numeric train_test_split type unique zeros_like
    """
)

# Library functions that are called for what they show; the first name of the call or its last.
SHOWING = words(
    """
    allclose array_equal ax axes axs bar barh box boxplot countplot display distplot fig figure go heatmap help hist histplot info
    kdeplot len lineplot locals pairplot plot plot_tree plt pprint print px scatter scatterplot show sns
    subplots summary type violinplot
    """
)

# What draws random numbers unless it is given `random_state` or `seed`, by the last name of the call.
RANDOM_CALLS = words(
    """
    AdaBoostClassifier AdaBoostRegressor BaggingClassifier BaggingRegressor DecisionTreeClassifier
    DecisionTreeRegressor default_rng ExtraTreesClassifier ExtraTreesRegressor GaussianMixture
    GradientBoostingClassifier GradientBoostingRegressor HistGradientBoostingClassifier
    HistGradientBoostingRegressor IsolationForest KMeans make_blobs make_circles make_classification make_moons
    make_regression MiniBatchKMeans MLPClassifier MLPRegressor permutation_importance RandomForestClassifier
    RandomForestRegressor RandomizedSearchCV RandomState resample sample SGDClassifier SGDRegressor ShuffleSplit
    StratifiedShuffleSplit train_test_split TSNE UMAP
    """
)

# Calls that write a file, read one, set the seed of the global random generators, draw from those.
WRITES_FILE = words(
    """
    to_csv to_parquet to_json to_excel to_pickle to_feather to_hdf to_sql dump save savez savez_compressed
    savetxt write_text write_bytes urlretrieve mkdir makedirs copy copyfile move rename extractall imsave imwrite
    tofile touch symlink_to unlink rmtree rmdir make_archive unpack_archive savemat export_graphviz copytree
    """
)

# What writes a file only where it is given the name of one.
WRITES_NAMED = words(
    """
    to_html to_latex to_markdown to_string to_xml
    """
)

READS_FILE = words(
    """
    open load loadtxt genfromtxt read_text read_bytes glob rglob listdir iterdir exists imread isfile isdir is_file
    is_dir getsize getmtime scandir walk stat fromfile memmap loadmat ZipFile TarFile Image namelist
    run_path run_module import_module
    """
)

SEEDS = words(
    """
    seed manual_seed set_seed set_random_seed
    """
)

DRAWS = words(
    """
    fit fit_transform fit_predict shuffle cross_val_score cross_validate permutation rvs
    """
)

# What is called so after `from numpy.random import ...` or `from random import ...`.
DRAWS_ALONE = words(
    """
    beta binomial choice choices exponential gauss multivariate_normal normal poisson rand randint randn random
    random_integers random_sample randrange sample standard_normal uniform
    """
)

# Functions that give an iterator, which is used up by reading it.
ITERATORS = words(
    """
    open iter zip map filter enumerate reversed reader chain
    """
)

# Functions of libraries that change their first argument.
CHANGES_FIRST = words(
    """
    shuffle heappush heappop heapify insort insort_left insort_right setattr delattr copyto put fill_diagonal
    place next put_along_axis putmask at
    """
)

# How the names of functions begin that show or check something.
SHOWING_WORDS = ("plot", "show", "print", "display", "assert", "check")

# Estimators whose fit draws no random numbers with the settings they come with.
STEADY = words(
    """
    BernoulliNB CategoricalNB ColumnTransformer ComplementNB CountVectorizer ElasticNet FunctionTransformer
    GaussianNB HuberRegressor IsotonicRegression KNeighborsClassifier KNeighborsRegressor LabelBinarizer
    LabelEncoder Lars Lasso LassoLars LinearDiscriminantAnalysis LinearRegression LogisticRegression
    MaxAbsScaler MinMaxScaler MultinomialNB Normalizer OneHotEncoder OrdinalEncoder PoissonRegressor
    PolynomialFeatures PowerTransformer QuadraticDiscriminantAnalysis Ridge RidgeClassifier RobustScaler SVC
    SVR SimpleImputer StandardScaler TfidfVectorizer
    """
)
