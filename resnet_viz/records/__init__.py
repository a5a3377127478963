"""The records that cross a process boundary: what to train, where training stands, and what was measured.

Everything here is a frozen dataclass of plain values and numpy arrays, so the server can hold it without torch.
Construction validates: a `ConfigError` names the field, what it got and what it takes. The counts of parameters and
multiply-adds are arithmetic on the configuration, so a net can be refused before anything is allocated.
"""

from resnet_viz.records.architectures import (
    ARCHITECTURES,
    MIN_PICTURE,
    Architecture,
    BlockSpan,
    read_architecture,
)
from resnet_viz.records.credit import (
    BASELINES,
    CREDIT_METHODS,
    MAP_METHODS,
    MAX_CLASSES,
    MAX_CREDIT_STEPS,
    PICTURE_KINDS,
    PRETRAINED,
    AblationResult,
    CreditResult,
    Picture,
    PictureCredit,
    check_baseline,
    check_credit,
    check_map,
    check_picture_map,
    check_pretrained,
    find_error,
    read_samples,
)
from resnet_viz.records.data import (
    DATASETS,
    DataShape,
    Examples,
    Source,
    check_source,
)
from resnet_viz.records.errors import (
    MAX_TEXT,
    N_,
    ConfigError,
    Option,
    Phrase,
    RuleError,
    UnknownFieldError,
    Words,
    check_choice,
    check_flag,
    check_number,
    check_whole,
    shorten,
)
from resnet_viz.records.frames import (
    OVERFLOWS,
    PROBE_EVERY,
    BlockEffect,
    BlockView,
    Frame,
    OperationResult,
    Product,
    ProjectionView,
    State,
    join_frames,
    read_frame,
)
from resnet_viz.records.nets import (
    ACTIVATIONS,
    FAMILIES,
    FAMILY_DEFAULTS,
    INITS,
    MAX_DEPTH,
    NORMS,
    ORDERS,
    SHORTCUTS,
    BlockPlan,
    Layer,
    NetConfig,
    check_view,
    count_multiply_adds,
    count_parameters,
    join_widths,
    list_layers,
    plan_blocks,
    sum_layers,
)
from resnet_viz.records.operations import (
    OPERATIONS,
    WEIGHT_OPERATIONS,
    Operation,
    check_operation,
    list_targets,
)
from resnet_viz.records.races import (
    DECAYS,
    LIVE_FIELDS,
    MAX_LANES,
    MAX_MEMORY,
    MAX_MULTIPLY_ADDS,
    MAX_PARAMETERS,
    NET_LIVE,
    OPTIMIZERS,
    Change,
    Edit,
    Lane,
    RaceConfig,
    TrainConfig,
    check_budget,
)
from resnet_viz.records.reading import (
    DECIMAL_FIELDS,
    FLAG_FIELDS,
    MAX_CHANGES,
    SCALES,
    SHORTHANDS,
    WHOLE_FIELDS,
    decode_text,
    make_jsonable,
    parse_field,
    parse_json,
    read_blocks,
    read_record,
)
from resnet_viz.records.why import (
    Autocorrelation,
    PathsResult,
    SlopeResult,
    Trajectory,
)
