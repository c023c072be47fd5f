// Reads DICOM data sets from memory through DCMTK (dcmdata). The stream classes below let DCMTK
// leave long values where they are, so that a header costs no copy of the pixel data.
#include "dicom/dcmtk_shim.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>
#include <dcmtk/dcmdata/dcistrma.h>
#include <dcmtk/oflog/oflog.h>
#include <dcmtk/oflog/appender.h>
#include <dcmtk/oflog/spi/logevent.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <new>
#include <string>

namespace
{

thread_local unsigned warnings = 0;

// Counts what DCMTK reports and drops the text: it quotes values, file names among them.
class CountingAppender : public dcmtk::log4cplus::Appender
{
  public:
    void close() override
    {
    }
    ~CountingAppender() override
    {
        destructorImpl();
    }

  protected:
    void append(const dcmtk::log4cplus::spi::InternalLoggingEvent &event) override
    {
        // an end of selection that old encoders of 12-bit JPEG left at zero: no sample depends on
        // it
        static const char *const harmless = "Invalid SOS parameters for sequential JPEG";
        if (event.getLogLevel() >= OFLogger::WARN_LOG_LEVEL &&
            event.getMessage().find(harmless) == OFString_npos)
            warnings++;
    }
};

class MemoryProducer : public DcmProducer
{
  public:
    MemoryProducer(const unsigned char *data, size_t len, size_t at)
        : data_(data), len_(len), at_(at <= len ? at : len)
    {
    }
    OFBool good() const override
    {
        return status_.good();
    }
    OFCondition status() const override
    {
        return status_;
    }
    OFBool eos() override
    {
        return at_ >= len_;
    }
    offile_off_t avail() override
    {
        return static_cast<offile_off_t>(len_ - at_);
    }
    offile_off_t read(void *buf, offile_off_t buflen) override
    {
        if (!buf || buflen <= 0)
            return 0;
        const size_t n = clamp(buflen);
        memcpy(buf, data_ + at_, n);
        at_ += n;
        return static_cast<offile_off_t>(n);
    }
    offile_off_t skip(offile_off_t skiplen) override
    {
        if (skiplen <= 0)
            return 0;
        const size_t n = clamp(skiplen);
        at_ += n;
        return static_cast<offile_off_t>(n);
    }
    void putback(offile_off_t num) override
    {
        if (num < 0 || static_cast<size_t>(num) > at_)
            status_ = EC_PutbackFailed;
        else
            at_ -= static_cast<size_t>(num);
    }

  private:
    size_t clamp(offile_off_t n) const
    {
        return static_cast<size_t>(n) < len_ - at_ ? static_cast<size_t>(n) : len_ - at_;
    }
    const unsigned char *data_;
    size_t len_, at_;
    OFCondition status_;
};

class MemoryStream;

class MemoryFactory : public DcmInputStreamFactory
{
  public:
    MemoryFactory(const unsigned char *data, size_t len, size_t at)
        : data_(data), len_(len), at_(at)
    {
    }
    DcmInputStream *create() const override;
    DcmInputStreamFactory *clone() const override
    {
        return new MemoryFactory(data_, len_, at_);
    }
    DcmInputStreamFactoryType ident() const override
    {
        return DFT_DcmInputTempFileStreamFactory;
    }

  private:
    const unsigned char *data_;
    size_t len_, at_;
};

class MemoryStream : public DcmInputStream
{
  public:
    MemoryStream(const unsigned char *data, size_t len, size_t at)
        : DcmInputStream(&producer_), producer_(data, len, at), data_(data), len_(len), base_(at)
    {
    }
    DcmInputStreamFactory *newFactory() const override
    {
        // behind a filter the position in memory is unknown; such files are refused before
        if (currentProducer() != &producer_)
            return nullptr;
        return new MemoryFactory(data_, len_, base_ + static_cast<size_t>(tell()));
    }

  private:
    MemoryProducer producer_;
    const unsigned char *data_;
    size_t len_, base_;
};

DcmInputStream *MemoryFactory::create() const
{
    return new MemoryStream(data_, len_, at_);
}

DcmItem *as_item(const dcm_item *item)
{
    return reinterpret_cast<DcmItem *>(const_cast<dcm_item *>(item));
}

const dcm_item *from_item(DcmItem *item)
{
    return reinterpret_cast<const dcm_item *>(item);
}

uint32_t tag_number(uint16_t group, uint16_t element)
{
    return static_cast<uint32_t>(group) << 16 | element;
}

// The elements of an item by their tags. A header is asked for a hundred attributes, most of which
// it lacks, and DCMTK's list would be followed to its end for each. DCMTK keeps that list in the
// order of the tags, whatever the order in the file.
struct Index {
    static constexpr size_t most = 512; // longer items, which are not ours, are followed

    const DcmItem *item; // nullptr = free
    size_t n;
    uint32_t tags[most];
    DcmElement *elements[most];

    bool learn(DcmItem *i)
    {
        item = nullptr;
        n = 0;
        for (DcmObject *o = i->nextInContainer(nullptr); o; o = i->nextInContainer(o), n++) {
            if (n == most)
                return false;
            tags[n] = tag_number(o->getGTag(), o->getETag());
            elements[n] = OFstatic_cast(DcmElement *, o);
        }
        item = i;
        return true;
    }
    // Where the element with this tag is or would be.
    size_t at(uint32_t wanted) const
    {
        return static_cast<size_t>(std::lower_bound(tags, tags + n, wanted) - tags);
    }
};

// Of the items asked last: the data set, and those that are asked in turn with it. Without a
// constructor: thread-local memory that needs none is reached without a guard.
struct Asked {
    static constexpr unsigned slots = 4;

    Index index[slots];
    unsigned oldest;
};
thread_local Asked asked;

void forget_items()
{
    for (Index &i : asked.index)
        i.item = nullptr;
}

// nullptr: the item has too many elements.
const Index *index_of(DcmItem *item)
{
    for (const Index &i : asked.index)
        if (i.item == item)
            return &i;
    Index *free = &asked.index[asked.oldest++ % Asked::slots];
    return free->learn(item) ? free : nullptr;
}

// The first element with this tag.
DcmElement *find(const dcm_item *item, uint16_t group, uint16_t element)
{
    if (!item)
        return nullptr;
    DcmItem *i = as_item(item);
    const uint32_t wanted = tag_number(group, element);
    if (const Index *known = index_of(i)) {
        const size_t at = known->at(wanted);
        return at < known->n && known->tags[at] == wanted ? known->elements[at] : nullptr;
    }
    for (DcmObject *o = i->nextInContainer(nullptr); o; o = i->nextInContainer(o))
        if (tag_number(o->getGTag(), o->getETag()) == wanted)
            return OFstatic_cast(DcmElement *, o);
    return nullptr;
}

bool has_group(const dcm_item *item, uint16_t group)
{
    DcmItem *i = as_item(item);
    const Index *known = i ? index_of(i) : nullptr;
    if (known) {
        const size_t at = known->at(tag_number(group, 0));
        return at < known->n && known->tags[at] >> 16 == group;
    }
    for (DcmObject *o = i ? i->nextInContainer(nullptr) : nullptr; o; o = i->nextInContainer(o))
        if (o->getGTag() == group)
            return true;
    return false;
}

DcmSequenceOfItems *find_sequence(const dcm_item *item, uint16_t group, uint16_t element)
{
    DcmElement *e = find(item, group, element);
    return e && !e->isLeaf() ? dynamic_cast<DcmSequenceOfItems *>(e) : nullptr;
}

size_t trimmed(const char *s, size_t n)
{
    while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\0'))
        n--;
    return n;
}

void copy_text(const char *s, size_t n, char *out, size_t cap)
{
    n = trimmed(s, n);
    if (n > cap - 1)
        n = cap - 1;
    for (size_t i = 0; i < n; i++)
        out[i] = static_cast<unsigned char>(s[i]) < 0x20 ? ' ' : s[i];
    out[n] = '\0';
}

bool text_of(DcmElement *e, char *out, size_t cap)
{
    const DcmEVR vr = e->ident();
    if (e->getLengthField() > DCM_VALUE_MAX && e->getLengthField() != DCM_UndefinedLength)
        return false;
    if (vr == EVR_SQ || vr == EVR_PixelData || vr == EVR_pixelSQ || vr == EVR_pixelItem ||
        !e->isLeaf())
        return false;
    if (e->isaString()) {
        char *s = nullptr;
        Uint32 n = 0;
        if (e->getString(s, n).bad())
            return false;
        copy_text(s ? s : "", s ? n : 0, out, cap);
        return true;
    }
    if (vr == EVR_OB || vr == EVR_OW || vr == EVR_UN || vr == EVR_ox || vr == EVR_UNKNOWN) {
        Uint8 *bytes = nullptr;
        if (e->getUint8Array(bytes).bad())
            return false;
        copy_text(reinterpret_cast<char *>(bytes), bytes ? e->getLength() : 0, out, cap);
        return true;
    }
    const unsigned long vm = e->getVM();
    if (vm > 64)
        return false;
    std::string all;
    for (unsigned long i = 0; i < vm; i++) {
        OFString one;
        if (e->getOFString(one, i).bad())
            return false;
        if (i > 0)
            all += '\\';
        all.append(one.c_str(), one.length());
    }
    copy_text(all.data(), all.size(), out, cap);
    return true;
}

// DCMTK keeps an element whose value the file cuts short, and its missing bytes hold whatever lay
// in memory before: perhaps another file's. Such elements go; a sequence keeps what is whole in it.
void drop_partial(DcmItem *item)
{
    for (unsigned long i = item ? item->card() : 0; i-- > 0;) {
        DcmElement *e = item->getElement(i);
        if (!e || e->transferState() == ERW_ready)
            continue;
        if (e->ident() == EVR_SQ) {
            DcmSequenceOfItems *q = static_cast<DcmSequenceOfItems *>(e);
            for (unsigned long k = 0; k < q->card(); k++)
                drop_partial(q->getItem(k));
        } else {
            delete item->remove(i);
        }
    }
}

} // namespace

struct dcm_file {
    DcmFileFormat format;
};

void dcm_init(void)
{
    static bool done = false;
    if (done)
        return;
    done = true;
    try {
        dcmtk::log4cplus::Logger root = dcmtk::log4cplus::Logger::getRoot();
        root.removeAllAppenders();
        root.addAppender(dcmtk::log4cplus::SharedAppenderPtr(new CountingAppender));
        root.setLogLevel(OFLogger::WARN_LOG_LEVEL);
        dcmUseExplLengthPixDataForEncTS.set(OFTrue);
        dcmEnableGenerationOfNewVRs();
        (void)dcmDataDict.isDictionaryLoaded(); // loads it: nothing can be opened later
    } catch (...) {
    }
}

bool dcm_dictionary_loaded(void)
{
    try {
        return dcmDataDict.isDictionaryLoaded() != OFFalse;
    } catch (...) {
        return false;
    }
}

const char *dcm_version(void)
{
    return "DCMTK " OFFIS_DCMTK_VERSION_STRING;
}

unsigned dcm_warnings(void)
{
    return warnings;
}

dcm_status dcm_open(const void *data, size_t len, dcm_file **out)
{
    *out = nullptr;
    forget_items();
    try {
        dcm_file *f = new dcm_file;
        *out = f;
        MemoryStream stream(static_cast<const unsigned char *>(data), len, 0);
        f->format.transferInit();
        const OFCondition c = f->format.read(stream, EXS_Unknown, EGL_noChange, 1024);
        if (c.bad()) { // before transferEnd, which calls every element whole
            drop_partial(f->format.getMetaInfo());
            drop_partial(f->format.getDataset());
        }
        f->format.transferEnd();
        if (c.good())
            return DCM_OK;
        if (c == EC_StreamNotifyClient || c == EC_EndOfStream || c == EC_InvalidStream ||
            c == EC_ItemDelimitationItemMissing || c == EC_SequDelimitationItemMissing)
            return DCM_CUT;
        return DCM_BROKEN;
    } catch (...) {
        return DCM_BROKEN;
    }
}

void dcm_close(dcm_file *f)
{
    forget_items();
    try {
        delete f;
    } catch (...) {
    }
}

const dcm_item *dcm_root(const dcm_file *f)
{
    return f ? from_item(const_cast<dcm_file *>(f)->format.getDataset()) : nullptr;
}

const dcm_item *dcm_meta(const dcm_file *f)
{
    return f ? from_item(const_cast<dcm_file *>(f)->format.getMetaInfo()) : nullptr;
}

const char *dcm_parsed_syntax(const dcm_file *f)
{
    if (!f)
        return "";
    try {
        DcmDataset *d = const_cast<dcm_file *>(f)->format.getDataset();
        const char *uid = d ? DcmXfer(d->getOriginalXfer()).getXferID() : nullptr;
        return uid ? uid : "";
    } catch (...) {
        return "";
    }
}

bool dcm_has(const dcm_item *item, uint16_t group, uint16_t element)
{
    try {
        return find(item, group, element) != nullptr;
    } catch (...) {
        return false;
    }
}

bool dcm_has_group(const dcm_item *item, uint16_t group)
{
    try {
        return has_group(item, group);
    } catch (...) {
        return false;
    }
}

bool dcm_text(const dcm_item *item, uint16_t group, uint16_t element, char *out, size_t cap)
{
    out[0] = '\0';
    try {
        DcmElement *e = find(item, group, element);
        if (e && text_of(e, out, cap))
            return true;
    } catch (...) {
    }
    out[0] = '\0';
    return false;
}

int dcm_items(const dcm_item *item, uint16_t group, uint16_t element)
{
    try {
        DcmSequenceOfItems *q = find_sequence(item, group, element);
        return q ? static_cast<int>(q->card() < 1000000 ? q->card() : 1000000) : 0;
    } catch (...) {
        return 0;
    }
}

const dcm_item *dcm_child(const dcm_item *item, uint16_t group, uint16_t element, int index)
{
    try {
        DcmSequenceOfItems *q = find_sequence(item, group, element);
        if (!q || index < 0 || static_cast<unsigned long>(index) >= q->card())
            return nullptr;
        return from_item(q->getItem(static_cast<unsigned long>(index)));
    } catch (...) {
        return nullptr;
    }
}

bool dcm_words(const dcm_item *item, uint16_t group, uint16_t element, const uint16_t **words,
               size_t *bytes)
{
    *words = nullptr;
    *bytes = 0;
    try {
        DcmElement *e = find(item, group, element);
        if (!e || e->getLengthField() > DCM_LUT_MAX)
            return false;
        Uint16 *w = nullptr;
        Sint16 *s = nullptr;
        Uint8 *b = nullptr;
        const uint16_t *p = nullptr;
        // UN keeps the bytes of the file, which are little-endian in every syntax we decode
        if (e->getUint16Array(w).good() && w)
            p = w;
        else if (e->getSint16Array(s).good() && s)
            p = reinterpret_cast<const uint16_t *>(s);
        else if (e->getUint8Array(b).good() && b)
            p = reinterpret_cast<const uint16_t *>(b);
        if (!p)
            return false;
        *words = p;
        *bytes = e->getLength();
        return *bytes >= 2;
    } catch (...) {
        return false;
    }
}
