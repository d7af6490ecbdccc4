// Sizes from shapes alone, held against published parameter counts and file sizes.
#include "runtime/planner/sizes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <set>
#include <sstream>

#include "runtime/base/units.h"
#include "runtime/planner/catalogue.h"

namespace atlas {
namespace {

const Catalogue& catalogue() {
    static const Catalogue loaded = [] {
        auto found = load_catalogue({});
        if (!found) ADD_FAILURE() << found.error().message;
        return found ? *found : Catalogue{};
    }();
    return loaded;
}

TEST(Shapes, ElementsSumUpToThePublishedParameterCount) {
    ASSERT_GE(catalogue().models.size(), 95u);
    for (const CatalogueModel& model : catalogue().models) {
        if (!model.shape.approximate.empty()) continue;
        EXPECT_NEAR(double(count_parameters(model.shape)), double(model.shape.parameters),
                    double(model.shape.parameters) * 2.5e-5)
            << model.shape.id;
    }
}

// One line of CSV with quoted fields.
std::vector<std::string> fields_of(const std::string& line) {
    std::vector<std::string> fields(1);
    bool quoted = false;
    for (const char c : line) {
        if (c == '"')
            quoted = !quoted;
        else if (c == ',' && !quoted)
            fields.emplace_back();
        else
            fields.back() += c;
    }
    return fields;
}

// What the published number may differ by: exact bytes 0.1 %, rounded ones half of their last place.
double slack_bytes(const std::string& value, double unit) {
    const size_t point = value.find('.');
    const size_t places = point == std::string::npos ? 0 : value.size() - point - 1;
    return 0.5 * std::pow(10.0, -double(places)) * unit * 1.0001;
}

TEST(Sizes, AreThoseOfPublishedFiles) {
    std::ifstream csv(ATLAS_TEST_DATA "/golden/gguf_sizes.csv");
    std::string line;
    std::getline(csv, line);
    int rows = 0;
    double worst = 0;
    while (std::getline(csv, line)) {
        const auto f = fields_of(line);
        ASSERT_GE(f.size(), 7u) << line;
        const auto model = catalogue().find_model(f[0]);
        ASSERT_TRUE(model) << model.error().message;
        const bool mix = f[1].starts_with("MXFP4");
        // This one file is as large as one made without an importance matrix, whatever its page says of the repository.
        const bool no_matrix =
            f[0] == "Qwen3-8B" && f[1] == "IQ4_XS" && f[5] == "unsloth/DeepSeek-R1-0528-Qwen3-8B-GGUF";
        const auto size = size_of((*model)->shape, mix ? "MXFP4_MOE" : f[1], f[6] == "imatrix" && !no_matrix);
        ASSERT_TRUE(size) << size.error().message;
        const double published = std::stod(f[3]);
        const double unit = f[4] == "B" ? 1 : f[4] == "GB" ? 1e9 : f[4] == "MiB" ? double(kMiB) : double(kGiB);
        const bool tensors_only = f[4].ends_with("(tensors)");
        const double predicted = double(tensors_only ? size->tensor_bytes : size->file_bytes);
        const double slack =
            f[4] == "B" ? published * 1e-3 : std::max(slack_bytes(f[3], unit), published * unit * 1e-3);
        worst = std::max(worst, std::abs(predicted - published * unit) / (published * unit));
        EXPECT_NEAR(predicted, published * unit, slack)
            << line << "\n off by " << (predicted / (published * unit) - 1) * 100 << " %";
        ++rows;
    }
    EXPECT_EQ(rows, 143);
    RecordProperty("worst_relative", std::to_string(worst));
}

TEST(Sizes, FolkloreComesOutRight) {
    const auto gb = [](std::string_view name, std::string_view quant) {
        const auto model = catalogue().find_model(name);
        return double(size_of((*model)->shape, quant, false)->tensor_bytes) / 1e9;
    };
    EXPECT_NEAR(gb("llama-3.3-70b", "Q4_K_M"), 42.5, 0.5) << "70B Q4_K_M needs about 42 GB";
    EXPECT_NEAR(gb("qwen2.5-coder-32b", "Q4_K_M"), 19.845, 0.001);
    EXPECT_NEAR(gb("deepseek-coder-v2-instruct-236b", "Q2_K"), 85.9, 0.2)
        << "3.3 times a 24 GB card even at the smallest";
}

TEST(Sizes, AnUnknownQuantizationNamesTheKnownOnes) {
    const auto size = size_of(catalogue().models.front().shape, "Q9_Z", false);
    ASSERT_FALSE(size);
    EXPECT_NE(size.error().message.find("Q4_K_M"), std::string::npos);
}

}  // namespace
}  // namespace atlas
