// Which file of a repository is meant: names as they are published.
#include <gmock/gmock.h>

#include "tools/models/repository.h"

namespace atlas::tools {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The names of the chosen files, or the error.
std::vector<std::string> chosen(const std::string& repository, const std::vector<std::string>& names) {
    std::vector<RemoteFile> files;
    for (const std::string& name : names) {
        files.emplace_back();
        files.back().file_name = name;
    }
    const auto parts = choose_model(files, parse_repository(repository).value());
    if (!parts) return {parts.error().message};
    std::vector<std::string> out;
    for (const RemoteFile& part : *parts) out.push_back(part.file_name);
    return out;
}

TEST(ChooseModel, AQuantizationIsAWholeWord) {
    const std::vector<std::string> names = {"M-BF16.gguf",   "M-IQ4_XS.gguf", "M-Q4_K_M.gguf",
                                            "M-Q4_K_S.gguf", "M-f16.gguf",    "M-Q4_0_4_4.gguf"};
    EXPECT_THAT(chosen("o/M-GGUF:F16", names), ElementsAre("M-f16.gguf"));
    EXPECT_THAT(chosen("o/M-GGUF:bf16", names), ElementsAre("M-BF16.gguf"));
    EXPECT_THAT(chosen("o/M-GGUF:Q4_K", names), ElementsAre(HasSubstr("has no quantization 'Q4_K'")));
    EXPECT_THAT(chosen("o/M-GGUF:Q4_0", names), ElementsAre(HasSubstr("there are: M-BF16.gguf, M-IQ4_XS.gguf")));
    EXPECT_THAT(chosen("o/M-GGUF:Q4_XS", names), ElementsAre(HasSubstr("has no quantization")));
    EXPECT_THAT(chosen("o/M-GGUF:F16", {"M-BF16.gguf"}), ElementsAre(HasSubstr("has no quantization 'F16'")));
    EXPECT_THAT(chosen("TheBloke/Llama-2-7B-GGUF:q4_k_m", {"llama-2-7b.Q4_K_M.gguf", "llama-2-7b.Q4_K_S.gguf"}),
                ElementsAre("llama-2-7b.Q4_K_M.gguf"));
    EXPECT_THAT(chosen("o/r:Q8_0", {"model_q8_0.gguf", "model_f16.gguf"}), ElementsAre("model_q8_0.gguf"));
    EXPECT_THAT(chosen("o/r:F16", {"model_bf16.gguf", "F16/model.gguf"}), ElementsAre("model.gguf"))
        << "where only the folder says it";
}

TEST(ChooseModel, ExactNamesComeFirst) {
    const std::vector<std::string> names = {"M-UD-Q4_K_M.gguf", "M-v2-Q4_K_M.gguf", "M-Q4_K_M.gguf"};
    EXPECT_THAT(chosen("o/M-GGUF:Q4_K_M", names), ElementsAre("M-Q4_K_M.gguf"));
    EXPECT_THAT(chosen("o/M-GGUF:UD-Q4_K_M", names), ElementsAre("M-UD-Q4_K_M.gguf"));
    EXPECT_THAT(chosen("o/M-GGUF:m-v2-q4_k_m.gguf", names), ElementsAre("M-v2-Q4_K_M.gguf"));
    EXPECT_THAT(chosen("o/Other:Q4_K_M", {"sub-M-UD-Q4_K_M.gguf", "sub-M-Q4_K_M.gguf"}),
                ElementsAre("sub-M-Q4_K_M.gguf"))
        << "the one with no other words";
}

TEST(ChooseModel, SeveralThatFitAreListed) {
    EXPECT_THAT(chosen("o/r:Q4_K_M", {"a-Q4_K_M.gguf", "b-Q4_K_M.gguf"}),
                ElementsAre(HasSubstr("several models that 'Q4_K_M' may mean: a-Q4_K_M.gguf, b-Q4_K_M.gguf")));
    EXPECT_THAT(chosen("o/r", {"a-Q4_K_M.gguf", "b-Q4_K_M.gguf"}), ElementsAre(HasSubstr("may mean")));
    EXPECT_THAT(chosen("o/r", {"a-Q3_K_S.gguf", "a-IQ2_XXS.gguf"}),
                ElementsAre(HasSubstr("none of the usual quantizations; there are: a-Q3_K_S.gguf, a-IQ2_XXS.gguf")))
        << "never simply the first";
    EXPECT_THAT(chosen("o/r", {"a-Q3_K_S.gguf"}), ElementsAre("a-Q3_K_S.gguf")) << "the only one";
    EXPECT_THAT(chosen("o/r", {"a-Q8_0.gguf", "a-Q5_K_M.gguf", "a-F16.gguf"}), ElementsAre("a-Q5_K_M.gguf"));
}

TEST(ChooseModel, DraftHeadsProjectorsAndImportanceMatricesAreNoModels) {
    const std::vector<std::string> names = {"mtp-M-Q8_0.gguf",   "M-eagle3-Q8_0.gguf", "draft/M-Q8_0.gguf",
                                            "M-draft-Q8_0.gguf", "mmproj-M-Q8_0.gguf", "M.imatrix-Q8_0.gguf",
                                            "mtp_Q8_0.gguf"};
    EXPECT_THAT(chosen("o/M:Q8_0", names), ElementsAre(HasSubstr("holds no GGUF file of a model")));
    auto with_model = names;
    with_model.push_back("M-Q8_0.gguf");
    EXPECT_THAT(chosen("o/M:Q8_0", with_model), ElementsAre("M-Q8_0.gguf"));
    EXPECT_THAT(chosen("o/M", with_model), ElementsAre("M-Q8_0.gguf"));
    EXPECT_THAT(chosen("o/M-DRAFT-0.6B-GGUF:Q8_0", {"M-DRAFT-0.6B-Q8_0.gguf"}), ElementsAre("M-DRAFT-0.6B-Q8_0.gguf"))
        << "a repository of drafts";
}

TEST(ChooseModel, AllPartsOfASplitModel) {
    EXPECT_THAT(chosen("o/M:Q8_0", {"Q8_0/M-Q8_0-00002-of-00002.gguf", "Q8_0/M-Q8_0-00001-of-00002.gguf",
                                    "Q4_0/M-Q4_0-00001-of-00002.gguf"}),
                ElementsAre("M-Q8_0-00001-of-00002.gguf", "M-Q8_0-00002-of-00002.gguf"));
    EXPECT_THAT(chosen("o/M:Q8_0", {"M-Q8_0-00001-of-00003.gguf", "M-Q8_0-00003-of-00003.gguf"}),
                ElementsAre(HasSubstr("lacks part 2 of 3")));
}

}  // namespace
}  // namespace atlas::tools
