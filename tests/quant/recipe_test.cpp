#include "quant/recipe.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace atlas {
namespace {

std::vector<uint64_t> parse_shape(const std::string& text) {
    std::vector<uint64_t> shape;
    std::istringstream in(text);
    for (std::string part; std::getline(in, part, 'x');) shape.push_back(std::stoull(part));
    return shape;
}

// The layers of a tensor that only some layers have: in the hybrid model of the file every fourth layer has ordinary
// attention.
std::vector<uint32_t> layers_of(const std::string& tensor, size_t n_have, const MixModel& model) {
    std::vector<uint32_t> out;
    const bool ordinary = tensor.find("attn_v.") != tensor.npos || tensor.find("attn_k.") != tensor.npos ||
                          tensor.find("attn_q.") != tensor.npos || tensor.find("attn_output.") != tensor.npos;
    for (uint32_t layer = 0; layer < model.n_layer; ++layer) {
        if (n_have == model.n_layer || n_have == 1 || (layer % 4 == 3) == ordinary) out.push_back(layer);
    }
    if (n_have == 1) out.resize(1);
    return out;
}

// Every choice of llama-quantize for ten kinds of model.
TEST(Recipe, ChoosesAsThePeerDoes) {
    std::ifstream file(ATLAS_TEST_DATA "/golden/quant/mixes.txt");
    ASSERT_TRUE(file);
    std::map<char, Format> formats;
    std::map<std::string, MixModel> models;
    size_t n_checked = 0;
    for (std::string line; std::getline(file, line);) {
        std::istringstream in(line);
        std::string first;
        in >> first;
        if (first == "#") continue;
        if (first == "letters") {
            for (std::string entry; in >> entry;) formats[entry[0]] = format_from_name(entry.substr(2)).value();
        } else if (first == "model") {
            std::string name;
            MixModel model;
            in >> name >> model.n_layer >> model.n_gqa >> model.n_expert >> model.tied_output;
            models[name] = model;
        } else {
            std::string recipe_name, tensor, shape, letters;
            in >> recipe_name >> tensor >> shape >> letters;
            const Recipe* recipe = find_recipe(recipe_name);
            ASSERT_NE(recipe, nullptr) << recipe_name;
            const auto layers = layers_of(tensor, letters.size(), models.at(first));
            ASSERT_EQ(layers.size(), letters.size()) << line;
            for (size_t i = 0; i < letters.size(); ++i) {
                std::string name = tensor;
                if (const size_t star = name.find('*'); star != name.npos)
                    name.replace(star, 1, std::to_string(layers[i]));
                const Format stored = tensor.find("ssm_conv1d") != tensor.npos ? Format::f16 : Format::f32;
                const Format got = format_in(*recipe, models.at(first), name, parse_shape(shape)).value_or(stored);
                ASSERT_EQ(info(got).name, info(formats.at(letters[i])).name)
                    << first << ' ' << recipe_name << ' ' << name;
                ++n_checked;
            }
        }
    }
    EXPECT_GT(n_checked, 30000u);
}

struct Shape {
    uint64_t n_layer, n_embd, n_ff, n_head, n_head_kv, head_dim, n_vocab;
    bool tied = false, qkv_bias = false, qk_norm = false;
};

constexpr Shape kLlama3_8B{32, 4096, 14336, 32, 8, 128, 128256};
constexpr Shape kLlama32_1B{16, 2048, 8192, 32, 8, 64, 128256, true};
constexpr Shape kLlama2_13B{40, 5120, 13824, 40, 40, 128, 32000};
constexpr Shape kQwen25_7B{28, 3584, 18944, 28, 4, 128, 152064, false, true};
constexpr Shape kQwen25_14B{48, 5120, 13824, 40, 8, 128, 152064, false, true};
constexpr Shape kQwen3_14B{40, 5120, 17408, 40, 8, 128, 151936, false, false, true};

uint64_t tensor_bytes(const Recipe& recipe, const Shape& s) {
    const MixModel model{static_cast<uint32_t>(s.n_layer), static_cast<uint32_t>(s.n_head / s.n_head_kv), 0, s.tied,
                         false};
    uint64_t total = 0;
    const auto add = [&](const std::string& name, std::vector<uint64_t> shape) {
        uint64_t elems = 1;
        for (const uint64_t extent : shape) elems *= extent;
        total += bytes_of(format_in(recipe, model, name, shape).value_or(Format::f32), elems);
    };
    const uint64_t q = s.n_head * s.head_dim, kv = s.n_head_kv * s.head_dim;
    add("token_embd.weight", {s.n_vocab, s.n_embd});
    add("output_norm.weight", {s.n_embd});
    if (!s.tied) add("output.weight", {s.n_vocab, s.n_embd});
    for (uint64_t layer = 0; layer < s.n_layer; ++layer) {
        const std::string p = "blk." + std::to_string(layer) + ".";
        add(p + "attn_norm.weight", {s.n_embd});
        add(p + "ffn_norm.weight", {s.n_embd});
        add(p + "attn_q.weight", {q, s.n_embd});
        add(p + "attn_k.weight", {kv, s.n_embd});
        add(p + "attn_v.weight", {kv, s.n_embd});
        add(p + "attn_output.weight", {s.n_embd, q});
        add(p + "ffn_gate.weight", {s.n_ff, s.n_embd});
        add(p + "ffn_up.weight", {s.n_ff, s.n_embd});
        add(p + "ffn_down.weight", {s.n_embd, s.n_ff});
        if (s.qkv_bias) {
            add(p + "attn_q.bias", {q});
            add(p + "attn_k.bias", {kv});
            add(p + "attn_v.bias", {kv});
        }
        if (s.qk_norm) {
            add(p + "attn_q_norm.weight", {s.head_dim});
            add(p + "attn_k_norm.weight", {s.head_dim});
        }
    }
    return total;
}

struct Published {
    const char* recipe;
    Shape shape;
    uint64_t file_bytes;
    uint64_t least_metadata_bytes;  // header, keys with the vocabulary, padding
    uint64_t most_metadata_bytes;
};

// Sizes of published files. Those of Llama-3-8B are of one author and must all leave the same rest for the metadata
// (sizes.txt of huggingface.co/ddh0/UnquantizedEmbeddingTesting; Q4_K_M alone gives 7,835,936). The others must leave
// what files with the same vocabulary by other authors have: Llama-3 7.83 to 7.84 MB, Qwen 2.5 and 3 5.95 to 5.97,
// Llama-2 0.73 to 0.76.
constexpr Published kPublished[] = {
    {"Q2_K", kLlama3_8B, 3'179'131'168, 7'835'936, 7'835'936},
    {"Q3_K_S", kLlama3_8B, 3'664'498'976, 7'835'936, 7'835'936},
    {"Q3_K_M", kLlama3_8B, 4'018'917'664, 7'835'936, 7'835'936},
    {"Q3_K_L", kLlama3_8B, 4'321'956'128, 7'835'936, 7'835'936},
    {"Q4_K_S", kLlama3_8B, 4'692'668'704, 7'835'936, 7'835'936},
    {"Q4_K_M", kLlama3_8B, 4'920'733'984, 7'835'936, 7'835'936},
    {"Q2_K", kLlama32_1B, 580'873'408, 7'827'744, 7'840'928},  // bartowski/Llama-3.2-1B-Instruct-GGUF
    {"Q4_K_M", kLlama32_1B, 807'694'464, 7'827'744, 7'840'928},
    {"Q8_0", kLlama32_1B, 1'321'079'200, 7'827'744, 7'840'928},
    {"Q4_K_M", kQwen25_7B, 4'683'073'536, 5'950'496, 5'967'264},   // Qwen/Qwen2.5-Coder-7B-Instruct-GGUF
    {"Q3_K_M", kQwen25_14B, 7'339'204'000, 5'950'496, 5'967'264},  // DeepSeek-R1-Distill-Qwen-14B
    {"Q4_K_M", kQwen3_14B, 9'001'753'984, 5'950'496, 5'967'264},
    {"Q4_0", kLlama2_13B, 7'365'834'624, 734'880, 758'208},
};

TEST(Recipe, PredictsPublishedFileSizes) {
    for (const Published& file : kPublished) {
        const auto rest = static_cast<int64_t>(file.file_bytes) -
                          static_cast<int64_t>(tensor_bytes(*find_recipe(file.recipe), file.shape));
        const std::string which = std::string(file.recipe) + " " + std::to_string(file.shape.n_layer) + " layers";
        EXPECT_GE(rest, static_cast<int64_t>(file.least_metadata_bytes)) << which;
        EXPECT_LE(rest, static_cast<int64_t>(file.most_metadata_bytes)) << which;
    }
}

TEST(Recipe, NamesAndFileTypesAreUnique) {
    for (size_t i = 0; i < recipes().size(); ++i) {
        const Recipe& recipe = recipes()[i];
        EXPECT_EQ(find_recipe(recipe.name), &recipe);
        if (i > 0) {
            EXPECT_LT(recipes()[i - 1].file_type, recipe.file_type);
        }
    }
    EXPECT_EQ(find_recipe("q4_k_m")->file_type, 15u);
    EXPECT_EQ(find_recipe("Q4_K"), nullptr);
    EXPECT_EQ(find_recipe(""), nullptr);
}

// With an importance matrix the first eighth of Q4_0's ffn_down gets an offset, and IQ4_XS needs no better format
// there.
TEST(Recipe, ImportanceChangesTheFirstEighth) {
    const std::vector<uint64_t> shape = {4096, 14336};
    MixModel model{32, 4, 0, false, true};
    EXPECT_EQ(format_in(*find_recipe("Q4_0"), model, "blk.3.ffn_down.weight", shape), Format::q4_1);
    EXPECT_EQ(format_in(*find_recipe("Q4_0"), model, "blk.4.ffn_down.weight", shape), Format::q4_0);
    EXPECT_EQ(format_in(*find_recipe("IQ4_XS"), model, "blk.3.ffn_down.weight", shape), Format::iq4_xs);
    model.has_importance = false;
    EXPECT_EQ(format_in(*find_recipe("Q4_0"), model, "blk.3.ffn_down.weight", shape), Format::q4_0);
    EXPECT_EQ(format_in(*find_recipe("IQ4_XS"), model, "blk.3.ffn_down.weight", shape), Format::q5_k);
    EXPECT_EQ(format_in(*find_recipe("IQ4_XS"), model, "blk.4.ffn_down.weight", shape), Format::iq4_xs);
}

}  // namespace
}  // namespace atlas
