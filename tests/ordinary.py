"""Names and values as data-science code has them: none of them is a secret.

Names are parameters, attributes and columns of scikit-learn, pandas, numpy, dask,
xarray, torch, transformers and of what is written with them; any of `VALUES` may stand
under each. `PAIRS` are names that a service's secret could have, with what they hold
in such code.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

LEARN = (
    "alpha average batch_size beta_1 bootstrap C cache_size categorical_features "
    "class_weight classes_ coef_ col_sample components_ copy_X criterion cv "
    "decision_function_shape degree early_stopping epsilon estimator eval_metric "
    "feature_names_in_ fit_intercept gamma hidden_layer_sizes init intercept_ "
    "kernel l1_ratio labels_ learning_rate loss max_depth max_features max_iter "
    "max_leaf_nodes max_samples min_samples_leaf min_samples_split momentum n_clusters "
    "n_components n_estimators n_features_in_ n_init n_iter_no_change n_jobs "
    "n_neighbors n_outputs_ nesterovs_momentum normalize nu objective oob_score "
    "passthrough penalty power_t pre_dispatch precompute probability random_state "
    "refit scoring shrinking shuffle solver splitter subsample support_vectors_ "
    "token_pattern tokenizer tol tree_method validation_fraction verbose warm_start "
    "keypoints keypoint_count monkeypatched compass_bearing passenger_count passed "
    "bypass_rate pass_rate n_passes low_pass high_pass_filter pinned pin_memory "
)
TABLES = (
    "agg_func axis by bins cols column columns convert_dtypes dataframe date_parser "
    "dayfirst decimal delimiter dropna dtype dtype_backend engine errors fill_value "
    "freq group_keys groupby_key header how ignore_index index index_col "
    "interpolation join key_column keep key_cols keys_left left_key left_on level "
    "limit_direction low_memory lineterminator mangle_dupe_cols merge_key min_count "
    "na_values names nrows observed on orient outer_key parse_dates partition_key "
    "primary_key quotechar right_key right_on row_key skiprows sort sort_key sort_keys "
    "sparse storage_format suffixes surrogate_key thousands tz unique_key usecols "
    "validate value_vars foreign_key natural_key lookup_key cache_key hash_key "
    "customer_key date_key product_key order_key session_count session_length "
    "auth_rows author author_id authored_at authority_score cookie_policy "
    "cookies_accepted cookie_count token_count token_counts token_type "
    "password_length password_field password_reset_at password_strength zip_code "
    "country_code postal_code pin_count area_code code_name status_code currency_code "
)
ARRAYS = (
    "arr array casting chunks chunk_size coords data_vars dim dims encoding endpoint "
    "fill_value itemsize keepdims mask_and_scale meta mode ndim new_axis offsets "
    "order out pad_width pixel_size rechunk repeats seed_sequence shape strides "
    "subok ufunc weights where zarr_format attrs drop_vars compat combine "
    "block_size blockwise concatenate graph_key task_key dask_key layer_key "
    "key_split annotations worker_key allow_other_workers assume_missing "
    "blocksize divisions fuse_width gather_statistics max_bytes memory_limit n_workers "
    "nanny npartitions optimize_graph persist priority resources retries scheduler "
    "scheduler_port split_every split_out threads_per_worker transition_key "
    "shuffle_id run_id run_spec stimulus_id span_id job_id task_id node_id commit "
    "git_sha etag checksum digest md5 sha256 fingerprint version_id request_id "
    "correlation_id trace_id experiment_id artifact_id dataset_id model_id object_key "
    "s3_key blob_key bucket_key file_key checkpoint_key connector connection_count "
    "conn_timeout decode_times encoder decoder codec secondary_axis signature "
)
TEXTS = (
    "add_bos_token add_prefix_space additional_special_tokens all_special_tokens "
    "attention_mask begin_suppress_tokens bos_token bos_token_id cls_token "
    "cls_token_id context_length d_model decoder_start_token_id do_sample "
    "embed_tokens eos_token eos_token_id forced_bos_token_id hidden_size "
    "hidden_states input_ids inputs_embeds is_decoder label2id last_token layer_norm "
    "lm_head logits_processor mask_token mask_token_id max_length max_new_tokens "
    "max_tokens min_new_tokens model_max_length n_tokens next_token next_tokens "
    "num_attention_heads num_beams num_tokens pad_token pad_token_id past_key_values "
    "position_ids prompt_tokens completion_tokens total_tokens query_key_value "
    "return_tensors sep_token sep_token_id sequence_length special_tokens_map "
    "start_token stop_token suppress_tokens temperature token_dim token_embedding "
    "token_embeddings token_ids token_index token_labels token_length token_level "
    "token_logits token_mask token_probs token_to_id token_type_ids tokenize "
    "tokenized tokenizer_class tokenizer_file tokens_per_second top_k top_p "
    "truncation unk_token unk_token_id use_cache vocab_size word_embeddings "
    "key_proj key_states key_cache key_padding_mask key_value_states keyword_args "
    "cross_attention_key image_token image_token_id "
)
NAMES = tuple(dict.fromkeys(f"{LEARN}{TABLES}{ARRAYS}{TEXTS}".split()))
_HEX = "0123456789abcdef"


def _hex(length: int, seed: int) -> str:
    """A text of hexadecimal digits, always the same one."""
    number, digits = seed * 2_654_435_761 + 12_345, []
    for _ in range(length):
        number = (
            number * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407
        ) % 2**64
        digits.append(_HEX[number >> 60])
    return "".join(digits)


def _uuid(seed: int) -> str:
    text = _hex(32, seed)
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


VALUES: tuple[str, ...] = (
    *("0", "1", "-1", "42", "1000000", "3.14", "1e-05", "None", "True", "nan", "2.5e3"),
    *("the", "hello", "running", "Verb", "auto", "sqrt", "uint8", "float32", "int64"),
    *(
        "mean_squared_error",
        "neg_log_loss",
        "snake_case_name",
        "CamelCaseName",
        "k-means",
    ),
    *(
        "bert-base-uncased",
        "distilbert-base-cased",
        "resnet50",
        "gpt2-medium",
        "ViT-L/14",
    ),
    *("</s>", "<pad>", "[MASK]", "<|endoftext|>", "##ing", "\u2581the", "<unk>"),
    *("2024-01-31", "2024-01-31T12:30:00Z", "12:30:00", "1.26.4", "v0.4.1", "10 MiB"),
    *("/data/2024/part-0001.parquet", "s3://bucket/raw/part-0007.csv", "gs://b/x.zarr"),
    *("data/train.csv", "C:\\data\\x.csv", "https://example.org/data/x.json?page=2"),
    *("tcp://10.0.0.7:8786", "10.0.0.7", "node-12.cluster.local", "ann@example.org"),
    *("utf-8", "us-east-1", "Europe/Berlin", "en_US.UTF-8", "%Y-%m-%d", "{:.3f}"),
    *("BertForSequenceClassification", "sklearn.linear_model.LogisticRegression"),
    *("a longer text, as a column has it", "field required", "not found"),
    *(_hex(40, n) for n in range(3)),
    *(_hex(32, n) for n in range(3, 6)),
    *(_hex(64, n) for n in range(6, 8)),
    *(_uuid(n) for n in range(8, 11)),
    *(f"sum-{_hex(32, 11)}", f"('read-csv-{_hex(32, 12)}', 7)", f"task-{_hex(16, 13)}"),
    *(f"run-{_uuid(14)}", f"model-{_hex(8, 15)}", f"sha256:{_hex(64, 16)}", "e3b0c442"),
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",
    *(
        "xxxx",
        "${VAR}",
        "<your value>",
        "...",
        "sk-learn-contrib-hdbscan",
        "n/a",
        "0x1f",
    ),
)
_WORDS = "the a running Berlin word apple of NOUN end not-known caf\u00e9 don't"
_FEW = ("3", "0", "17", "1024", *_WORDS.split(), "None", "</s>", "[SEP]", "##s", ",")
PAIRS: tuple[tuple[str, str], ...] = (
    *itertools.product(("token", "prev_token", "new_token", "sub_token"), _FEW),
    *itertools.product(("key", "keys", "api_key_count", "auth_mode_count"), _FEW),
    *((f"{name}_key", value) for name in ("key", "tag") for value in VALUES),
    *itertools.product(("auth", "session", "secret", "password"), ("None", "${X}", "")),
    *itertools.product(("api_key", "token"), ("xxxx", "<your key>", "YOUR_KEY_HERE")),
)
FORMS = (
    "{name}={value}",
    "{name}: {value}",
    "{{'{name}': {quoted}, 'n': 1}}",
    "fit(x, {name}={quoted}, n=2)",
    '{{"{name}": {json}}}',
)


def texts() -> Iterator[tuple[str, str, str]]:
    """``(name, value, text)`` of each name, value and form."""
    for name, value in (*itertools.product(NAMES, VALUES), *PAIRS):
        for form in FORMS:
            yield (
                name,
                value,
                form.format(
                    name=name, value=value, quoted=repr(value), json=json.dumps(value)
                ),
            )
