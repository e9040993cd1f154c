//! demo
pub struct Fleet {}
impl Fleet {
    pub async fn start() -> std::io::Result<Self> {
        Ok(Self {})
    }
    pub fn builder(&self) -> crate::Builder {
        crate::Periskop::builder()
    }
}
