local redact = require "muster.redact"

describe("redact", function()
  it("takes out secrets, as often as they come, whatever characters they are of", function()
    local secrets = {}
    redact.add(secrets, "sk-a.b+c%d[1]")
    assert.equal("*** and ***.", redact.text("sk-a.b+c%d[1] and sk-a.b+c%d[1].", secrets))
    assert.equal("nothing", redact.text("nothing", secrets))
    assert.equal("", redact.text("", secrets))
  end)

  it("takes out the start of one where a text was cut", function()
    local secrets = {"sk-secret-1234567890"}
    assert.equal("key ***… (404)", redact.text("key sk-secret-12… (404)", secrets))
    assert.equal("sk-secret is a word; key ***…", redact.text("sk-secret is a word; key sk-secr…", secrets))
    assert.equal("key sk-se…", redact.text("key sk-se…", secrets)) -- hardly a secret
  end)

  it("takes no words for secrets", function()
    local secrets = {}
    redact.add(secrets, "ollama")
    redact.add(secrets, nil)
    redact.add(secrets, 7)
    assert.same({}, secrets)
  end)

  it("finds them in headers and URLs, each once", function()
    local secrets = {}
    redact.add_headers(secrets, {Authorization = "Bearer sk-header-1", ["x-API-key"] = "sk-header-2",
      ["X-Team"] = "marine biology", ["Content-Type"] = "application/json"})
    redact.add_headers(secrets, {authorization = "Bearer sk-header-1"})
    redact.add_headers(secrets, nil)
    redact.add_url(secrets, "http://user:pass-word-1@host/v1")
    redact.add_url(secrets, "http://host:8080/v1")
    table.sort(secrets)
    assert.same({"pass-word-1", "sk-header-1", "sk-header-2"}, secrets)
  end)
end)
